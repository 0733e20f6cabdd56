-- judge.lua COUNTS MACHINE [--record]: compares what was counted, a line `name<tab>number` each,
-- with budget.txt, and prints a table and `N passed, N failed`; or writes budget.txt anew. MACHINE
-- is the compiler, the libraries and so on: a budget of another machine judges nothing.

local MOST = 3 -- per cent over the budget

local counts_path, machine, record = arg[1], arg[2], arg[3] == "--record"
local budget_path = arg[0]:match "^(.*)/[^/]*$" .. "/budget.txt"

local HEAD = [[
# Instructions as callgrind counts them. Written by `sh spec/budget/check.sh --record`, with
# %s
]]

-- The figures by name, and their names in order.
local function read_figures(path)
    local figures, names = {}, {}
    for line in io.lines(path) do
        local name, number = line:match "^([^#].-)[ \t]+([%d.]+)$"
        if name then
            figures[name] = tonumber(number)
            names[#names + 1] = name
        end
    end
    return figures, names
end

local function write_budget(counts, names)
    local file <close> = assert(io.open(budget_path, "w"))
    assert(file:write(HEAD:format(machine)))
    for _, name in ipairs(names) do
        assert(file:write(("%-16s %9.1f\n"):format(name, counts[name])))
    end
end

local function budget_machine()
    local file <close> = assert(io.open(budget_path))
    return file:read "a":match "^#[^\n]*\n# ([^\n]*)\n"
end

-- In per cent of the budget, what to say of it, and whether it is within.
local function judge(budget, now)
    if not budget then
        return nil, "not in the budget: record it", false
    elseif not now then
        return nil, "was not counted", false
    end
    local percent = (now / budget - 1) * 100
    if percent > MOST then
        return percent, "OVER THE BUDGET", false
    end
    return percent, percent < -MOST and "less than the budget: record it" or "", true
end

local counts, names = read_figures(counts_path)
if record then
    write_budget(counts, names)
    print(("recorded %d figures in %s"):format(#names, budget_path))
    os.exit(true, true)
end

local budget, budget_names = read_figures(budget_path)
for _, name in ipairs(budget_names) do
    if not counts[name] then
        names[#names + 1] = name
    end
end

local own = budget_machine() == machine
local passed, failed = 0, 0
local function cell(format, number)
    return number and format:format(number) or ""
end

print(("%-16s %9s %9s %8s"):format("instructions", "budget", "now", "%"))
for _, name in ipairs(names) do
    local percent, remark, within = judge(budget[name], counts[name])
    local judged = own or not counts[name] -- that it can be counted is a test anywhere
    print((("%-16s %9s %9s %8s  %s"):format(name, cell("%.1f", budget[name]),
        cell("%.1f", counts[name]), cell("%+.1f", percent), judged and remark or "")
        :gsub(" +$", "")))
    if judged then
        passed, failed = passed + (within and 1 or 0), failed + (within and 0 or 1)
    end
end
if not own then
    print(("not judged: the budget is of %s; this is %s"):format(budget_machine(), machine))
end
print(("%d passed, %d failed"):format(passed, failed))
os.exit(failed == 0, true)
