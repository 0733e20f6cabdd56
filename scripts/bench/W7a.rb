# W7a: processes a second that do nothing, forked and waited for one after the other.
require_relative "measure"

n = size(50)
puts n / repeated { n.times { Process.wait(fork {}) } }
