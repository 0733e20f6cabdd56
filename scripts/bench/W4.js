// W4: records a second through a MessagePort.
const measure = require("./measure.js");

measure.stream(__filename, measure.size(50000), (i) => (
  { id: i, name: "record", tags: ["red", "green", "blue"], score: i / 2 }));
