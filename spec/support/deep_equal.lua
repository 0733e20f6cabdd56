-- deep_equal(a, b): are two values the same to every Lua program that could look at them? Written
-- without a look at the codec, to judge it. Tells 1 from 1.0, -0.0 from 0.0, one NaN from another;
-- compares who shares what with whom (tables, functions, upvalues), and functions by bytecode and
-- upvalues. Answers true, or false and the path of the first difference.

local Comparison = {}
Comparison.__index = Comparison

-- Notes that object a corresponds to b; answers whether that is new, or nil if it contradicts.
function Comparison:pair(a, b)
    if self.there[a] == nil and self.back[b] == nil then
        self.there[a], self.back[b] = b, a
        return true
    end
    if self.there[a] ~= b or self.back[b] ~= a then
        return nil
    end
    return false
end

local function same_number(a, b)
    if math.type(a) ~= math.type(b) then
        return false
    end
    if math.type(a) == "integer" then
        return a == b
    end
    return string.pack("d", a) == string.pack("d", b)
end

local function is_object(v)
    local kind = type(v)
    return kind == "table" or kind == "function" and debug.getinfo(v, "S").what ~= "C"
end

local function copy(map)
    local new = {}
    for k, v in pairs(map) do
        new[k] = v
    end
    return new
end

-- Finds among `candidates` the key of table b that corresponds to the object key ka of a, whose
-- value is va. Keys that look alike are told apart by their values.
function Comparison:match_key(ka, va, b, candidates)
    for i, kb in ipairs(candidates) do
        local trial = setmetatable({ there = copy(self.there), back = copy(self.back) }, Comparison)
        if trial:values(ka, kb, "") and trial:values(va, rawget(b, kb), "") then
            self.there, self.back = trial.there, trial.back
            return table.remove(candidates, i)
        end
    end
end

function Comparison:tables(a, b, path)
    local object_keys, count = {}, 0
    for kb in next, b do
        count = count + 1
        if is_object(kb) then
            object_keys[#object_keys + 1] = kb
        end
    end
    for ka, va in next, a do
        local kb = ka
        count = count - 1
        if is_object(ka) then
            kb = self:match_key(ka, va, b, object_keys)
            if kb == nil then
                return false, path .. "[an object] is missing"
            end
        end
        local here = path .. "[" .. tostring(ka) .. "]"
        local vb = rawget(b, kb)
        -- The key must be the same kind of number too.
        if math.type(ka) == "float" and not same_number(ka, kb) then
            return false, here .. " key"
        end
        local same, where = self:values(va, vb, here)
        if not same then
            return false, where
        end
    end
    if count ~= 0 then
        return false, path .. " has another number of entries"
    end
    return self:values(debug.getmetatable(a), debug.getmetatable(b), path .. "<metatable>")
end

function Comparison:functions(a, b, path)
    if string.dump(a) ~= string.dump(b) then
        return false, path .. " bytecode"
    end
    for i = 1, debug.getinfo(a, "u").nups do
        local name, va = debug.getupvalue(a, i)
        local _, vb = debug.getupvalue(b, i)
        local here = path .. "<" .. name .. ">"
        if name == "_ENV" then
            if type(va) ~= "table" or type(vb) ~= "table" then
                return false, here
            end
        else
            local new = self:pair(debug.upvalueid(a, i), debug.upvalueid(b, i))
            if new == nil then
                return false, here .. " is shared differently"
            end
            local same, where = self:values(va, vb, here)
            if not same then
                return false, where
            end
        end
    end
    return true
end

function Comparison:values(a, b, path)
    if type(a) ~= type(b) then
        return false, path .. ": " .. type(a) .. " and " .. type(b)
    end
    if type(a) == "number" then
        return same_number(a, b), path .. ": " .. tostring(a) .. " and " .. tostring(b)
    end
    if not is_object(a) or not is_object(b) then
        return rawequal(a, b), path
    end
    local new = self:pair(a, b)
    if new == nil then
        return false, path .. " is shared differently"
    end
    if not new then
        return true
    end
    if type(a) == "table" then
        return self:tables(a, b, path)
    end
    return self:functions(a, b, path)
end

return function(a, b)
    local same, where =
        setmetatable({ there = {}, back = {} }, Comparison):values(a, b, "value")
    if same then
        return true
    end
    return false, where
end
