/* The engine of a target where there is no libFuzzer: runs the files that it is given. */
#include "test/fuzz/provider.h"

static int
run_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        (void)fprintf(stderr, "%s cannot be opened\n", name);
        return 1;
    }
    long size = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (size < 0 || fseek(file, 0, SEEK_SET) != 0) {
        (void)fprintf(stderr, "%s cannot be read\n", name);
        (void)fclose(file);
        return 1;
    }
    uint8_t *data = exactly((size_t)size, 1);
    size_t n = fread(data, 1, (size_t)size, file);
    (void)fclose(file);
    (void)fprintf(stderr, "%s\n", name); /* the last one said is the one that crashed */
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 0;
}

int
main(int many, char **names)
{
    int failed = 0;
    for (int i = 1; i < many; i++) {
        failed |= run_file(names[i]);
    }
    return failed;
}
