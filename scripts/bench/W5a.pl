# W5a: GiB a second through a channel of MCE, in strings of 1 MiB. It measures as measure.lua does.
use strict;
use warnings;
use MCE::Channel;
use MCE::Child;
use Time::HiRes 'time';

my $scale = $ENV{MF_BENCH_SCALE} // 1;
my $n = int(200 * $scale) || 1;
my $channel = MCE::Channel->new(impl => 'Simple');
my $child = MCE::Child->create(sub {
    my $text = 'x' x (1 << 20);
    while (my $count = $channel->recv2) {
        $channel->send($text) for 1 .. $count;
    }
});

sub receive {
    $channel->send2($n);
    my $begin = time;
    for (1 .. $n) {
        die 'wrong' if length $channel->recv != 1 << 20;
    }
    return time - $begin;
}

receive();
my ($last, @times) = (time + 0.5 * $scale);
push @times, receive() while @times < 3 || time < $last;
$channel->send2(0);
$child->join;
@times = sort { $a <=> $b } @times;
my $median = ($times[$#times >> 1] + $times[@times >> 1]) / 2;
print $n / $median / 1024, "\n";
