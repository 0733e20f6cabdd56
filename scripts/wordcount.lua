-- Counts the words of files in parallel, by ranges of bytes, and prints the most frequent ones.
--
--     moonfork scripts/wordcount.lua FILE... [--top N] [--workers N] [--json] [--chunk BYTES]
--
-- A word is a longest run of the letters A-Z and a-z, in small letters; so the counts are those of
--     LC_ALL=C tr -cs A-Za-z '\n' <FILE | tr A-Z a-z | sort | uniq -c
local mp = require "moonfork"
local PIECE = 64 * 1024 -- read at once: a worker holds this much text, and its counts

local function fail(message)
    io.stderr:write("wordcount: ", message, "\n")
    os.exit(1)
end

-- Counts the words that begin in the bytes [first, last) of a file: one that is under way at
-- `first` belongs to the range before, and the last one is read to its end, beyond `last`.
local function count_range(path, first, last)
    local file <close> = assert(io.open(path, "rb"))
    local counts, at = {}, first
    local skipping = first > 0 and file:seek("set", first - 1) and file:read(1):find "%a"
    local word -- the parts of a word whose end is not read yet
    while at < last or word do
        local inside = at < last
        local piece, why = file:read(inside and math.min(PIECE, last - at) or PIECE)
        assert(piece or not (why or inside), why or path .. " has become shorter")
        piece = piece and piece:lower() or " " -- a file's end is a word's end
        at = at + #piece
        local head = (word or skipping) and #piece:match "^%a*" or 0
        if word then
            word[#word + 1] = piece:sub(1, head)
        end
        if head < #piece then -- else the word goes on
            local whole = word and table.concat(word)
            if whole then
                counts[whole] = (counts[whole] or 0) + 1
            end
            word, skipping = nil, nil
            if inside then
                local tail = #piece:reverse():match "^%a*"
                for text in piece:sub(head + 1, #piece - tail):gmatch "%a+" do
                    counts[text] = (counts[text] or 0) + 1
                end
                word = tail > 0 and { piece:sub(-tail) } or nil
            end
        end
    end
    return counts, last - first
end

local function size_of(path)
    local file <close> = io.open(path, "rb") or fail(select(2, io.open(path, "rb")))
    local _, why = file:read(1) -- a directory can be opened, but not read
    local size = not why and file:seek "end"
    return size or fail(path .. ": " .. (why or "cannot be divided into ranges"))
end

local options, paths = { top = 10, workers = mp.cpu_count(), chunk = 0 }, {}
local words = table.move(arg, 1, #arg, 1, {})
while words[1] do
    local word = table.remove(words, 1)
    local name = word:match "^%-%-(%l+)$"
    if name == "json" then
        options.json = true
    elseif options[name or ""] then
        local n = math.tointeger(tonumber(words[1]))
        options[name] = n and n >= 0 and table.remove(words, 1) and n
            or fail(word .. " needs a number")
    else
        paths[#paths + 1] = word:find "^%-" and fail("unknown option " .. word) or word
    end
end
if not paths[1] then
    fail "usage: wordcount.lua FILE... [--top N] [--workers N] [--json] [--chunk BYTES]"
end
local sizes, total = {}, 0
for n, path in ipairs(paths) do
    sizes[n] = size_of(path)
    total = total + sizes[n]
end
local chunk = options.chunk > 0 and options.chunk
    or math.min(8 << 20, total // (8 * math.max(1, options.workers)) + 1)

-- The inputs of the tasks: path, first, last.
local ranges = coroutine.wrap(function()
    for n, path in ipairs(paths) do
        for first = 0, sizes[n] - 1, chunk do
            coroutine.yield(path, first, math.min(first + chunk, sizes[n]))
        end
    end
end)

-- The workers count; this process adds up what they bring, in any order.
local counts, done, shows = {}, 0, os.execute "test -t 2"
local pool <close> = mp.Pool(options.workers)
for _, part, bytes in pool:imap_unordered(count_range, ranges) do
    for word, n in pairs(part) do
        counts[word] = (counts[word] or 0) + n
    end
    done = done + bytes
    if shows then -- there is somebody to show it to
        io.stderr:write(("\r%3d %%%s"):format(100 * done // total, done == total and "\n" or ""))
    end
end

local rows = {}
for word, n in pairs(counts) do
    rows[#rows + 1] = { word, n }
end
table.sort(rows, function(a, b)
    return a[2] > b[2] or a[2] == b[2] and a[1] < b[1]
end)
rows = table.move(rows, 1, math.min(options.top, #rows), 1, {})
if options.json then
    print(rows[1] and require "cjson".encode(rows) or "[]")
else
    for _, row in ipairs(rows) do
        print(("%7d %s"):format(row[2], row[1]))
    end
end
