-- Plots as SVG: panels side by side, both axes logarithmic. The colours follow the reader's choice
-- of light or dark. Strings only; scale.lua writes the files.
--
-- A panel is { x =, y =, lines = { { label =, points = { { x, y }, … }, dashed = }, … } }; x and y
-- are { label =, kind = }, and a kind is "count", "bytes", "seconds" or "rate".

local M = {}

local panel_width, plot_width, plot_height, left, top = 380, 290, 180, 70, 62
local height = top + plot_height + 52

local style = [[
  text { font: 12px system-ui, sans-serif; fill: #6e7781 }
  .title { font-size: 14px; font-weight: 600 }
  .grid { stroke: #8c959f; stroke-opacity: 0.35 }
  .line { fill: none; stroke-width: 2 }
  .dashed { stroke-width: 1; stroke-dasharray: 4 4; stroke-opacity: 0.8 }
  .a { stroke: #0969da } .b { stroke: #bc4c00 } .c { stroke: #8c959f }
  circle.a { fill: #0969da } circle.b { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #c9d1d9 }
    .a { stroke: #58a6ff } .b { stroke: #f0883e }
    circle.a { fill: #58a6ff } circle.b { fill: #f0883e }
  }]]

local units = {
    count = { base = 1000, "", " k", " M", " G" },
    bytes = { base = 1024, " B", " KiB", " MiB", " GiB" },
    rate = { base = 1000, "/s", " k/s", " M/s", " G/s" },
    seconds = { base = 1000, " ns", " µs", " ms", " s", " ks" },
}

-- "4 KiB", "20 µs", "1.5 M/s".
function M.text(value, kind)
    local list, i = units[kind], 1
    if kind == "seconds" then
        value = value * 1e9
    end
    while value >= list.base * 0.9995 and list[i + 1] do
        value, i = value / list.base, i + 1
    end
    return (value >= 1000 and "%.0f" or "%.3g"):format(value) .. list[i]
end

-- An axis that has room for the values, with so many ticks at most: at powers of 10, or of 2 where
-- that is natural.
local function axis(kind, values, most)
    local low, high = math.min(table.unpack(values)), math.max(table.unpack(values))
    local base = (kind == "bytes" or kind == "count" and high / low < 100) and 2 or 10
    local first = math.floor(math.log(low, base) + 1e-9)
    local last = math.max(first + 1, math.ceil(math.log(high, base) - 1e-9))
    local step = math.max(1, math.ceil((last - first) / most))
    last = first + math.ceil((last - first) / step) * step
    local ticks = {}
    for power = first, last, step do
        ticks[#ticks + 1] = base ^ power
    end
    return {
        ticks = ticks,
        at = function(value) -- 0 to 1
            return (math.log(value, base) - first) / (last - first)
        end,
    }
end

local function values_of(lines, i)
    local list = {}
    for _, line in ipairs(lines) do
        for _, point in ipairs(line.points) do
            list[#list + 1] = point[i]
        end
    end
    return list
end

local function escaped(text)
    return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }))
end

local function add(out, format, ...)
    out[#out + 1] = format:format(...)
end

local function draw_text(out, x, y, text, more)
    add(out, '<text x="%.1f" y="%.1f"%s>%s</text>', x, y, more or "", escaped(text))
end

local function draw_grid(out, panel, x, y, at_x, at_y)
    for _, tick in ipairs(x.ticks) do
        add(out, '<line class="grid" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>', at_x(tick), top,
            at_x(tick), top + plot_height)
        draw_text(out, at_x(tick), top + plot_height + 16, M.text(tick, panel.x.kind),
            ' text-anchor="middle"')
    end
    for _, tick in ipairs(y.ticks) do
        add(out, '<line class="grid" x1="%d" y1="%.1f" x2="%d" y2="%.1f"/>', left, at_y(tick),
            left + plot_width, at_y(tick))
        draw_text(out, left - 6, at_y(tick) + 4, M.text(tick, panel.y.kind), ' text-anchor="end"')
    end
    draw_text(out, left + plot_width / 2, top + plot_height + 38, panel.x.label,
        ' text-anchor="middle"')
    draw_text(out, left, 36, panel.y.label)
end

-- The colour of the i-th line.
local function class_of(line, i)
    return line.dashed and "c dashed" or ("ab"):sub(i, i)
end

local function draw_line(out, line, class, at_x, at_y)
    local points = {}
    for i, point in ipairs(line.points) do
        points[i] = ("%.1f,%.1f"):format(at_x(point[1]), at_y(point[2]))
    end
    add(out, '<polyline class="line %s" points="%s"/>', class, table.concat(points, " "))
    for _, point in ipairs(line.dashed and {} or line.points) do
        add(out, '<circle class="%s" cx="%.1f" cy="%.1f" r="3"/>', class, at_x(point[1]),
            at_y(point[2]))
    end
end

-- A sample of each line with its name, in a row above the plot.
local function draw_legend(out, lines)
    local x = left
    for i, line in ipairs(lines) do
        add(out, '<line class="line %s" x1="%d" y1="50" x2="%d" y2="50"/>', class_of(line, i),
            x, x + 20)
        draw_text(out, x + 25, 54, line.label)
        x = x + 45 + 7 * utf8.len(line.label)
    end
end

local function draw_panel(out, panel)
    local x = axis(panel.x.kind, values_of(panel.lines, 1), 6)
    local y = axis(panel.y.kind, values_of(panel.lines, 2), 8)
    local function at_x(value) return left + plot_width * x.at(value) end
    local function at_y(value) return top + plot_height * (1 - y.at(value)) end
    draw_grid(out, panel, x, y, at_x, at_y)
    for i, line in ipairs(panel.lines) do
        draw_line(out, line, class_of(line, i), at_x, at_y)
    end
    draw_legend(out, panel.lines)
end

-- The text of a file.
function M.svg(title, panels)
    local out = {}
    add(out, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d"'
        .. ' role="img">', panel_width * #panels, height, panel_width * #panels, height)
    add(out, "<title>%s</title>\n<style>\n%s\n</style>", escaped(title), style)
    draw_text(out, left, 16, title, ' class="title"')
    for i, panel in ipairs(panels) do
        add(out, '<g transform="translate(%d 0)">', (i - 1) * panel_width)
        draw_panel(out, panel)
        out[#out + 1] = "</g>"
    end
    out[#out + 1] = "</svg>\n"
    return table.concat(out, "\n")
end

return M
