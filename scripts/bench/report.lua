-- How the benchmark's figures are written: values with units, the rows of the table (plain, or in
-- Markdown), what has changed. Everything is a string here; bench.lua prints.

local cells = require "scripts.bench.cells"

local M = {}

local function three_digits(x)
    return x >= 1000 and ("%.0f"):format(x) or ("%.3g"):format(x)
end

-- A figure with its unit: "12.3 M/s", "0.63 µs".
function M.value(x, unit)
    if unit ~= "/s" then
        return three_digits(x) .. " " .. unit
    elseif x >= 1e6 then
        return three_digits(x / 1e6) .. " M/s"
    elseif x >= 1e4 then
        return three_digits(x / 1e3) .. " k/s"
    end
    return three_digits(x) .. "/s"
end

local function percent(part)
    return ("%.0f"):format(100 * part)
end

function M.goal(workload)
    local sign = workload.better == "higher" and "≥ " or "≤ "
    local part = workload.goal_of_limit
    return sign .. M.value(workload.goal, workload.unit)
        .. (part and (", %g × limit"):format(part) or "")
end

-- Title and width of each column, and its cell for a workload, its summary and the peers' names.
local columns = {
    { "", 3, function(w) return w.id end },
    { "what", 47, function(w) return w.what end },
    { "moonfork", 11, function(w, row) return M.value(row.median, w.unit) end },
    { "best peer here", 18, function(w, row, names)
        return row.peer and names[row.peer.suffix] .. " " .. M.value(row.peer.median, w.unit)
    end },
    { "C limit", 11, function(w, row) return row.limit and M.value(row.limit.median, w.unit) end },
    { "goal", 23, M.goal },
    { "× peer", 6, function(_, row)
        return row.peer and row.peer.ratio and three_digits(row.peer.ratio)
    end },
    { "× limit", 7, function(_, row)
        return row.limit and row.limit.ratio and three_digits(row.limit.ratio)
    end },
    { "spread", 10, function(_, row)
        return row.low and percent(row.low) .. "..." .. percent(row.high) .. " %"
    end },
    { "met", 3, function(_, row)
        return row.met ~= nil and (row.met and "yes" or "no")
    end },
}

local function line(made, markdown)
    return cells.line(columns, made, markdown)
end

-- The lines above the rows.
function M.head(markdown)
    return cells.head(columns, markdown)
end

-- names: of the peers, by suffix.
function M.row(workload, row, names, markdown)
    return cells.row(columns, markdown, workload, row, names)
end

function M.error_row(workload, message, markdown)
    local first, rest = message:match "^([^\n]*)\n?(.*)$"
    if markdown then
        local cell = ("ERROR: " .. first):gsub("|", "\\|")
        return line({ workload.id, workload.what, cell }, true)
    end
    return line { workload.id, workload.what, "ERROR: " .. first }
        .. (rest == "" and "" or "\n    " .. rest:gsub("\n+$", ""):gsub("\n", "\n    "))
end

local function by(change)
    local how = change.worse and "worse" or "better"
    if change.part == 0 then
        return "the same"
    end
    return how .. (change.part < math.huge and " by " .. percent(change.part) .. " %" or "")
end

local function comparison(change, names)
    local w = change.workload
    local text = ("%-4s %s: %s -> %s, spread %s %%"):format(w.id, by(change),
        M.value(change.old, w.unit), M.value(change.new, w.unit), percent(change.width))
    local beside = change.beside
    if beside then
        local name = beside.suffix == "c" and "the C limit" or names[beside.suffix]
        text = text .. "; " .. name .. ": " .. by(beside)
    end
    return text
end

-- What figures.compare() has found, a line each, those for the worse first.
function M.changes(changes, names)
    local lines = {}
    for _, worse in ipairs { true, false } do
        for _, change in ipairs(changes) do
            if change.worse == worse then
                lines[#lines + 1] = comparison(change, names)
            end
        end
    end
    return lines[1] and table.concat(lines, "\n")
        or "nothing is better or worse by more than the spread"
end

return M
