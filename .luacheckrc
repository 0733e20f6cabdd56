std = "lua54"
max_line_length = 100
exclude_files = { "build/**" }

-- What a task sets is a global of its own Lua state, and examples show that.
files["spec/**/*_spec.lua"] = { std = "lua54+busted" }
files["**/*.meta.lua"] = { ignore = { "212", "241" } } -- stubs: arguments that nobody reads
