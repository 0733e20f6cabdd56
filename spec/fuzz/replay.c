/*
 * replay.c - runs a fuzz target on the files of the folders that are its arguments, without
 * libFuzzer: so the corpus, and every input that ever found a fault, is a test under any compiler.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned replayed;

static void replay(const char *path)
{
    static uint8_t bytes[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;
    uint8_t *exact;

    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    exact = malloc(size ? size : 1); /* of its size, so that a sanitizer sees a read beyond it */
    if (exact == NULL)
        exit(1);
    memcpy(exact, bytes, size);
    alarm(20);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    replayed++;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void replay_folder(const char *folder)
{
    struct dirent **files;
    int n = scandir(folder, &files, NULL, by_name);
    char path[4096];

    if (n < 0) {
        perror(folder);
        exit(1);
    }
    for (int i = 0; i < n; i++) {
        if (files[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
            replay(path);
        }
        free(files[i]);
    }
    free(files);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        replay_folder(argv[i]);
    printf("%u inputs\n", replayed);
    return replayed == 0;
}
