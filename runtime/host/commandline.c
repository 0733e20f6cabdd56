/* The options in front of the script; see commandline.h. */

#include "commandline.h"

#include <stddef.h>
#include <string.h>

/* What a single-letter option without an argument asks for; 0 for one that asks for nothing at
 * once, -1 for one that does not exist. */
static int plain_flag(char letter)
{
    switch (letter) {
    case 'E': return MF__IGNORES_ENV;
    case 'i': return MF__WANTS_REPL | MF__WANTS_VERSION;
    case 'v': return MF__WANTS_VERSION;
    case 'W': return 0;
    default: return -1;
    }
}

static int long_flag(const char *option)
{
    if (strcmp(option, "--help") == 0)
        return MF__WANTS_HELP;
    if (strcmp(option, "--version") == 0)
        return MF__WANTS_ABOUT;
    return -1;
}

static int takes_argument(char letter)
{
    return letter == 'e' || letter == 'l';
}

/* Reads the option at argv[*index] and its argument, if that is a word of its own. Leaves *index
 * at the last word read. */
static int read_option(char **argv, int *index, unsigned *flags)
{
    const char *option = argv[*index];
    int flag;
    if (takes_argument(option[1])) {
        flag = option[1] == 'e' ? MF__WANTS_CHUNKS : 0;
        if (option[2] == '\0') {
            const char *argument = argv[*index + 1];
            if (argument == NULL || argument[0] == '-')
                return -1;
            ++*index;
        }
    } else if (option[1] == '-') {
        flag = long_flag(option);
    } else {
        flag = option[2] == '\0' ? plain_flag(option[1]) : -1;
    }
    if (flag < 0)
        return -1;
    *flags |= (unsigned)flag;
    return 0;
}

const char *mf__commandline_parse(int argc, char **argv, struct mf__commandline *ret_line)
{
    *ret_line = (struct mf__commandline){.argv = argv, .argc = argc};
    int index = 1;
    for (; index < argc; index++) {
        const char *word = argv[index];
        if (word[0] != '-' || word[1] == '\0') /* a script, or `-`: stdin is the script */
            break;
        if (strcmp(word, "--") == 0) {
            index++;
            break;
        }
        int option = index;
        if (read_option(argv, &index, &ret_line->flags) < 0)
            return argv[option];
    }
    ret_line->script = index < argc ? index : argc;
    return NULL;
}

char mf__commandline_next(const struct mf__commandline *line, int *index, char **ret_text)
{
    while (++*index < line->script) {
        char *word = line->argv[*index];
        char letter = word[1];
        *ret_text = NULL;
        if (takes_argument(letter)) {
            *ret_text = word[2] != '\0' ? word + 2 : line->argv[++*index];
            return letter;
        }
        if (letter == 'W')
            return letter;
    }
    return 0;
}
