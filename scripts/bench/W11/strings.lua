-- Strings: words made, joined, found and replaced. The argument is the benchmark's scale.
local words, counts = {}, {}
for i = 1, math.max(10, 60000 * arg[1]) do
    words[i] = ("word%d"):format(i % 1000)
end
local text = table.concat(words, " "):gsub("%d+", function(digits)
    return digits .. "x"
end)
for word in text:gmatch "%a+%d+x" do
    counts[word] = (counts[word] or 0) + 1
end
assert(counts.word1x >= 1)
