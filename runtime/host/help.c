/* What the command says about itself; see help.h. */

#include "help.h"

#include "report.h"

#include <lua.h>
#include <stdio.h>
#include <string.h>

static const char options_text[] =
    "Options, the same as those of Lua's own command:\n"
    "  -e chunk    run the text 'chunk'\n"
    "  -l mod      require 'mod' and keep it in the global 'mod'\n"
    "  -l g=mod    require 'mod' and keep it in the global 'g'\n"
    "  -i          go on with the interactive mode after the script\n"
    "  -v          show Lua's version\n"
    "  -E          ignore environment variables (LUA_INIT, LUA_PATH, LUA_CPATH)\n"
    "  -W          turn warnings on\n"
    "  --          end of the options: what follows is the script\n"
    "  -           run standard input and end the options\n"
    "  --help      show this text\n"
    "  --version   show the versions of moonfork and Lua\n";

static const char examples_text[] = "local p = mp.spawn(print, \"in a child\"); p:join()'\n"
                                    "      one function in a process of its own\n"
                                    "  moonfork -l mp=moonfork -e 'print(table.concat("
                                    "mp.map(function(n) return n * n end, {1, 2, 3}), \" \"))'\n"
                                    "      one function over a list, on all processors\n";

void mf__help_usage(const char *command)
{
    printf("usage: %s [options] [script [args]]\n\n", command);
    fputs("Runs a Lua 5.4 script. In it, require \"moonfork\" gives processes, pools and queues\n"
          "that run truly in parallel. Without a script: the interactive mode on a terminal,\n"
          "or else the script on standard input.\n\n",
          stdout);
    fputs(options_text, stdout);
    fputs("\nExamples:\n"
          "  moonfork job.lua a b\n"
          "      job.lua with \"a\" and \"b\" in arg[1] and arg[2]\n"
          "  moonfork -l mp=moonfork -e '",
          stdout);
    fputs(examples_text, stdout);
    fputs("\nCtrl-C ends the script and all its processes, with status 130. SIGUSR1 prints what "
          "each of\n"
          "them waits for, as does Ctrl-\\ before it ends them; with MOONFORK_DEBUG=1 in the "
          "environment\n"
          "it is also printed when the script has waited for 10 seconds, 20, 40 …\n",
          stdout);
}

void mf__help_about(void)
{
    puts("moonfork " MF_HOST_VERSION " (" LUA_RELEASE ")");
}

void mf__help_lua_version(void)
{
    puts(LUA_COPYRIGHT);
    fflush(stdout);
}

void mf__help_bad_option(const char *option)
{
    const char *format = "unrecognized option '%.200s' (--help shows the options)";
    if (strcmp(option, "-e") == 0 || strcmp(option, "-l") == 0)
        format = "'%.200s' needs argument (--help shows the options)";
    char text[300];
    snprintf(text, sizeof text, format, option);
    mf__report_line(text);
}
