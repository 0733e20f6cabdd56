std = "lua54"
max_line_length = 100
exclude_files = { "build/**" }

files["spec/**/*_spec.lua"] = { std = "lua54+busted" }
files["**/*.meta.lua"] = { ignore = { "212", "241" } } -- stubs: arguments that nobody reads
