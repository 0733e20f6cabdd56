-- How the results of bench.sh --scale are written: rows, verdicts, plots, and the text of the
-- README. Everything is a string here; scale.lua prints.

local cells = require "scripts.bench.cells"
local growth = require "scripts.bench.growth"
local plot = require "scripts.bench.plot"

local M = {}

local text = plot.text
local first_mark, last_mark = "<!-- bench.sh --scale --readme writes from here -->\n",
    "<!-- to here -->"

local function size_kind(series)
    return series.unit == "B" and "bytes" or "count"
end

local function rate(series, row)
    local value = text(growth.throughput(series, row), size_kind(series))
    return value .. "/s"
end

-- Title and width of each column, and its cell for a row.
local all_columns = {
    { "", 8, function(series, row) return text(row.size, size_kind(series)) end },
    { "time of one", 11, function(_, row) return text(row.seconds / row.count, "seconds") end },
    { "throughput", 10, rate },
    { "burst of", 8, function(_, row) return text(row.count, "count") end },
    { "takes", 8, function(_, row) return text(row.seconds, "seconds") end },
    { "memory at the peak", 18, function(_, row) return text(growth.used(row), "bytes") end },
    { "left", 8, function(_, row) return text(growth.left(row), "bytes") end },
}

local function columns_of(series)
    local list = table.move(all_columns, 1, #all_columns, 1, {})
    if series.limit then
        table.insert(list, 3, { series.limit .. " limit", 9, function(_, row)
            return text(row.limit, "seconds")
        end })
    end
    return list
end

-- The lines above the rows of a series.
function M.head(series, markdown)
    return ("%s: %s; by %s\n\n%s"):format(series.name, series.what, series.axis,
        cells.head(columns_of(series), markdown))
end

function M.row(series, row, markdown)
    return cells.row(columns_of(series), markdown, series, row)
end

-- A row for a size that has no figures, and why.
function M.note(series, size, why, markdown)
    local cell = why:gsub("\n+$", ""):gsub("\n", "; "):gsub("|", "\\|")
    return cells.line(columns_of(series), { text(size, size_kind(series)), cell }, markdown)
end

function M.verdict(series, verdict)
    local why
    if verdict.exponent then
        why = ("%s grows with the power %.2f of the size"):format(verdict.what, verdict.exponent)
        if verdict.limit then
            why = why .. (", that of the %s limit with %.2f"):format(series.limit, verdict.limit)
        end
    elseif verdict.part then
        why = ("the least is %.0f %% of the best"):format(100 * verdict.part)
    else
        local row = verdict.row
        why = ("%s of %s are left after %s"):format(text(growth.left(row), "bytes"),
            text(growth.used(row), "bytes"), text(row.size, size_kind(series)))
    end
    return ("%s: %s (%s)"):format(verdict.claim, verdict.holds and "yes" or "NO", why)
end

local function points(rows, f)
    local list = {}
    for i, row in ipairs(rows) do
        list[i] = { row.size, f(row) }
    end
    return list
end

-- A line of the slope 1 through the last point, as far down as the figures go.
local function linear(list)
    local last, low = list[#list], list[1][2]
    for _, point in ipairs(list) do
        low = math.min(low, point[2])
    end
    local x = math.max(list[1][1], last[1] * low / last[2])
    return { label = "linear", dashed = true, points = { { x, last[2] * x / last[1] }, last } }
end

local function time_panel(series, rows, x)
    if series.judged == "throughput" then
        return { x = x, y = { label = series.item .. "s a second", kind = "rate" }, lines = {
            { label = "moonfork", points = points(rows, function(row)
                return growth.throughput(series, row)
            end) },
        } }
    end
    local list = points(rows, function(row) return growth.seconds(series, row) end)
    local label = series.per_item and "time of one " .. series.item or "time of all"
    local lines = { { label = "moonfork", points = list } }
    if series.limit then
        lines[2] = { label = series.limit .. " limit", points = points(rows, function(row)
            return growth.limit_seconds(series, row)
        end) }
    end
    lines[#lines + 1] = linear(list)
    return { x = x, y = { label = label, kind = "seconds" }, lines = lines }
end

-- What is less than 64 KiB is drawn as 64 KiB: it is no more than noise, and 0 has no logarithm.
local function drawn(f)
    return function(row)
        return math.max(1 << 16, f(row))
    end
end

-- The plot of a series: its time and its memory, as SVG.
function M.plot(series, rows)
    local x = { label = series.axis, kind = size_kind(series) }
    return plot.svg(series.name .. ": " .. series.what, {
        time_panel(series, rows, x),
        { x = x, y = { label = "memory of all processes", kind = "bytes" }, lines = {
            { label = "at the peak", points = points(rows, drawn(growth.used)) },
            { label = "left after it", points = points(rows, drawn(growth.left)) },
        } },
    })
end

-- The text with what stands between its marks replaced; nil where it has none.
function M.between_marks(whole, part)
    local _, first = whole:find(first_mark, 1, true)
    local last = first and whole:find(last_mark, first, true)
    return last and whole:sub(1, first) .. "\n" .. part .. "\n" .. whole:sub(last)
end

return M
