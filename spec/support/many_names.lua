-- many_names.lua: a module to whose table many_names_more.lua adds.
return { name = "many_names" }
