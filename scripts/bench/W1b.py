# W1b: items a second that a warm pool of 2 maps with x*x, each in a message of its own.
import measure

if __name__ == "__main__":
    measure.report(measure.squares(measure.size(20_000), 1))
