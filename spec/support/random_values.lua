-- random_values(seed, opts) -> generator: a function that gives a list of arguments {n = , ...}
-- of random values, always the same ones for a seed. With opts.functions, closures among them; with
-- opts.classes, objects. Objects are reused within one list, so that there are cycles, shared
-- tables, closures and upvalues.

local INTEGERS = { 0, 1, -1, 7, 127, 128, -16, -17, 255, 256, 32767, 32768, -32768, -32769,
    0x7fffffff, 0x80000000, -0x80000000, -0x80000001, math.maxinteger, math.mininteger }
local FLOATS = { 0.0, -0.0, 1.0, 7.0, -1.0, 0.5, 1e15, 2.0 ^ 53, 1e300, 5e-324, math.pi, math.huge,
    -math.huge, (string.unpack("d", string.pack("I8", 0x7ff8000000001234))),
    (string.unpack("d", string.pack("I8", 0xfff8000000000000))) }
local LENGTHS = { 0, 1, 2, 5, 12, 31, 32, 33, 40, 41, 64, 255, 256, 300 }

local Point = { __name = "Point" }
Point.__index = Point
function Point.__eq(a, b) return rawequal(a, b) end
function Point:norm() return self[1] end
local Tagged = setmetatable({ __name = "Tagged" }, { __call = function(class) return class end })
Tagged.__index = Tagged
Tagged.base = Point

local Generator = {}
Generator.__index = Generator

function Generator.chance(_, percent)
    return math.random(100) <= percent
end

local function pick(list)
    return list[math.random(#list)]
end

function Generator:integer()
    if self:chance(50) then
        return pick(INTEGERS)
    end
    return math.random(0) >> math.random(0, 63)
end

function Generator:float()
    if self:chance(50) then
        return pick(FLOATS)
    end
    return (math.random() - 0.5) * 2.0 ^ math.random(-40, 40)
end

function Generator:string()
    local n = pick(LENGTHS)
    if self:chance(50) then
        return string.rep(string.char(math.random(97, 122)), n)
    end
    local bytes = {}
    for i = 1, n do
        bytes[i] = string.char(math.random(0, 255))
    end
    return table.concat(bytes)
end

function Generator.boolean()
    return math.random(2) == 1
end

-- A list of one kind of number or string, so that runs are written; perhaps with a stranger in it.
function Generator:run()
    local kind = pick { "integer", "float", "string", "boolean" }
    local list = {}
    local n = self:chance(5) and math.random(250, 600) or math.random(0, 12)
    if kind == "string" then
        n = math.min(n, 12)
    end
    local width = math.random(0, 62)
    for i = 1, n do
        if kind == "integer" and self:chance(90) then
            list[i] = math.random(0) >> width
        else
            list[i] = self[kind](self)
        end
    end
    if n > 0 and self:chance(20) then
        list[math.random(n)] = self:chance(50) and self:value() or nil
    end
    return list
end

-- A key. An object among them holds a number of its own, by which a comparison knows it: keys that
-- look alike could be paired in more than one way.
function Generator:key()
    local v
    repeat
        v = self:chance(60) and ("key" .. math.random(20)) or self:value()
    until v ~= nil and v == v
    if type(v) == "table" or type(v) == "function" then
        self.keys = self.keys + 1
        v = { self.keys, v }
        self.objects[#self.objects + 1] = v
    end
    return v
end

function Generator:table()
    local t = {}
    self.objects[#self.objects + 1] = t
    for i = 1, math.random(0, 3) do
        t[i] = self:value()
    end
    for _ = 1, math.random(0, 4) do
        t[self:key()] = self:value()
    end
    if self.opts.classes and self:chance(20) then
        setmetatable(t, pick { Point, Tagged })
    end
    return t
end

-- Closures of several shapes; those of one call share upvalues.
function Generator:closures()
    local a, b = self:value(), self:value()
    local function get() return a, b end
    local function set(v) a = v end
    local function count(n)
        if n > 0 then
            return count(n - 1), a
        end
        return math.max(0, n)
    end
    local function nest(v)
        local c = v or b
        return function() c = c or a return c, get end
    end
    local function count_args(...) return select("#", ...) end
    local made = { get, set, count, nest, nest(a), nest(b), count_args }
    for _, f in ipairs(made) do
        self.objects[#self.objects + 1] = f
    end
    return pick(made)
end

function Generator:object()
    if self.opts.functions and self:chance(15) then
        if self:chance(20) then
            return pick { print, string.format, math.floor, require, coroutine.wrap }
        end
        return self:closures()
    end
    return self:chance(50) and self:table() or self:run()
end

function Generator:value()
    local dice = math.random(100)
    self.size = self.size + 1
    if dice <= 12 and #self.objects > 0 then
        return pick(self.objects)
    elseif dice <= 35 and self.size < 40 then
        return self:object()
    elseif dice <= 55 then
        return self:integer()
    elseif dice <= 70 then
        return self:float()
    elseif dice <= 88 then
        return self:string()
    elseif dice <= 97 then
        return self:boolean()
    end
    return nil
end

return function(seed, opts)
    math.randomseed(seed)
    return function()
        local generator = { objects = {}, keys = 0, size = 0, opts = opts or {} }
        setmetatable(generator, Generator)
        local list = { n = math.random(0, 4) }
        for i = 1, list.n do
            list[i] = generator:value()
        end
        return list
    end
end
