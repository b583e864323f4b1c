// SPDX-License-Identifier: Apache-2.0
// stb_image's implementation: PNG, GIF and BMP from memory, nothing else, within a budget of memory.
#include "stb_image_memory.h"

#include <stdlib.h>
#include <string.h>

// Each block begins with its size; 16 bytes keep the alignment of malloc.
enum { header = 16 };

static _Thread_local size_t budget;

void petnet_stb_set_budget(size_t bytes) { budget = bytes; }

static void* budget_malloc(size_t size) {
    if (size > budget) return NULL;
    char* block = malloc(size + header);
    if (block == NULL) return NULL;
    budget -= size;
    memcpy(block, &size, sizeof size);
    return block + header;
}

static size_t size_of(const void* pointer) {
    size_t size;
    memcpy(&size, (const char*)pointer - header, sizeof size);
    return size;
}

static void budget_free(void* pointer) {
    if (pointer == NULL) return;
    budget += size_of(pointer);
    free((char*)pointer - header);
}

static void* budget_realloc(void* pointer, size_t size) {
    void* moved = budget_malloc(size);
    if (moved == NULL || pointer == NULL) return moved;
    const size_t old = size_of(pointer);
    memcpy(moved, pointer, old < size ? old : size);
    budget_free(pointer);
    return moved;
}

#define STBI_MALLOC(size) budget_malloc(size)
#define STBI_REALLOC(pointer, size) budget_realloc(pointer, size)
#define STBI_FREE(pointer) budget_free(pointer)
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_GIF
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_MAX_DIMENSIONS 65535
#include <stb_image.h>
