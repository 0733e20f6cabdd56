// W2: integers a second through a MessagePort, from a thread to the main one.
const measure = require("./measure.js");

measure.stream(__filename, measure.size(100000), (i) => i);
