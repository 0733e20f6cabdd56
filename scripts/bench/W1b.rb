# W1b: items a second that 2 processes of Parallel map with x*x, each in a message of its own.
require "parallel"
require_relative "measure"

items = (1..size(20_000)).to_a
seconds = repeated do
  squares = Parallel.map(items, in_processes: 2) { |x| x * x }
  raise "wrong" unless squares.last == items.last**2
end
puts items.length / seconds
