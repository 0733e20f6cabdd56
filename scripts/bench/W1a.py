# W1a: items a second that a warm pool of 2 maps with x*x, in chunks of its own choice.
import measure

if __name__ == "__main__":
    measure.report(measure.squares(measure.size(200_000)))
