-- Tables of text: rows of cells in columns, plain or in Markdown. A column begins with its title
-- and its width.

local M = {}

function M.line(columns, cells, markdown)
    local padded = {}
    for i, column in ipairs(columns) do
        local cell = cells[i] or ""
        padded[i] = cell .. (" "):rep(column[2] - utf8.len(cell))
    end
    if markdown then
        return "| " .. table.concat(padded, " | ") .. " |"
    end
    return (table.concat(padded, "  "):gsub(" +$", ""))
end

-- The lines above the rows: the titles, and a rule in Markdown.
function M.head(columns, markdown)
    local titles, rules = {}, {}
    for i, column in ipairs(columns) do
        titles[i] = column[1]
        rules[i] = ("-"):rep(math.max(3, column[2]))
    end
    return M.line(columns, titles, markdown)
        .. (markdown and "\n" .. M.line(columns, rules, true) or "")
end

-- A row: the third of each column makes its cell.
function M.row(columns, markdown, ...)
    local made = {}
    for i, column in ipairs(columns) do
        made[i] = column[3](...)
    end
    return M.line(columns, made, markdown)
end

return M
