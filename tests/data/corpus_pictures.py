# SPDX-License-Identifier: Apache-2.0
"""The pictures of corpus.py: every format, depth, palette, order and orientation, and every kind of damage.

corpus_pictures.py FOLDER writes them there, as seeds for the fuzzers.
"""
import struct
import sys
import zlib
from pathlib import Path

from corpus_writers import bmp, gif, lzw, png, png_chunk, riff_chunk, tiff, vp8l, vp8x, webp, webp_frame

ODD = Path(__file__).resolve().parent / "odd"
WIDTH, HEIGHT = 21, 13


def noise(*place):
    """A number of 32 bits, the same for the same place."""
    return zlib.crc32(repr(place).encode())


def samples(bits, channels, width=WIDTH, height=HEIGHT, below=None, key=0):
    """Rows of samples: a slope with noise, so that a pixel out of its place changes the picture."""
    most = below or 1 << bits
    return [[(x * most // width + y * 3 + noise(key, x, y, c) % (most // 4 + 1)) % most
             for x in range(width) for c in range(channels)] for y in range(height)]


def colours(count, key=0):
    return b"".join(struct.pack("<I", noise("colour", key, i))[:3] for i in range(count))


def four_bytes(palette):
    return b"".join(palette[i:i + 3] + b"\0" for i in range(0, len(palette), 3))


def flipped(data, place, bit=1):
    out = bytearray(data)
    out[place] ^= bit
    return bytes(out)


def png_pictures(add):
    for bits, kinds in ((1, (0, 3)), (2, (0, 3)), (4, (0, 3)), (8, (0, 2, 3, 4, 6)), (16, (0, 2, 4, 6))):
        for kind in kinds:
            rows = samples(bits, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind])
            palette = colours(1 << bits) if kind == 3 else None
            for interlaced in (False, True):
                add(f"png_{bits}_type{kind}{'_interlaced' * interlaced}.png", png(rows, bits, kind, palette, interlaced))
    gray, index, rgb = samples(8, 1), samples(8, 1), samples(8, 3)
    for width, height in ((1, 1), (2, 3), (5, 1), (1, 9)):
        add(f"png_interlaced_{width}x{height}.png", png(samples(8, 3, width, height), 8, 2, interlaced=True))
    for bits in (1, 2, 4, 8):
        add(f"png_palette_short_{bits}.png", png(samples(bits, 1), bits, 3, colours(1)))
    add("png_palette_short_interlaced.png", png(index, 8, 3, colours(100), True))
    add("png_palette_missing.png", png(index, 8, 3))
    add("png_palette_beside_colours.png", png(rgb, 8, 2, colours(9)))
    add("png_palette_transparent.png", png(index, 8, 3, colours(256), between=png_chunk(b"tRNS", bytes(range(256)))))
    add("png_gray_transparent.png", png(gray, 8, 0, between=png_chunk(b"tRNS", b"\0\x20")))
    add("png_rgb_transparent.png", png(rgb, 8, 2, between=png_chunk(b"tRNS", b"\0\x20\0\x30\0\x40")))
    add("png_dark_16.png", png(samples(16, 1, below=300), 16, 0))
    add("png_in_parts.png", png(rgb, 8, 2, parts=7))
    text = png_chunk(b"tEXt", b"Comment\0a text")
    add("png_text.png", png(rgb, 8, 2, between=text, behind=text))
    add("png_gamma_and_profile.png", png(rgb, 8, 2, between=png_chunk(b"gAMA", b"\0\1\x86\xa0") +
                                         png_chunk(b"iCCP", b"name\0\0" + zlib.compress(b"no profile"))))
    add("png_own_chunk.png", png(rgb, 8, 2, between=png_chunk(b"peTn", b"12345")))
    whole = png(rgb, 8, 2)
    add("png_text_of_wrong_checksum.png", png(rgb, 8, 2, between=png_chunk(b"tEXt", b"a\0b", checksum=1)))
    add("png_text_of_wrong_checksum_behind.png", png(rgb, 8, 2, behind=png_chunk(b"tEXt", b"a\0b", checksum=1)))
    add("png_pixels_of_wrong_checksum.png", flipped(whole, -13))
    add("png_header_of_wrong_checksum.png", flipped(whole, 30))
    add("png_palette_of_wrong_checksum.png", flipped(png(index, 8, 3, colours(256)), 33 + 8 + 768))
    add("png_data_of_wrong_checksum.png", flipped(whole, -17))
    for place in (45, 60, 100, 300, -40):
        add(f"png_flipped_{place}.png", flipped(whole, place, 4))
    add("png_text_between_pixels.png", png_split(rgb, text))
    add("png_without_end.png", whole[:-12])
    for cut in (16, 20, 22, 40, 200, len(whole) - 20):
        add(f"png_cut_by_{cut}.png", whole[:-cut])
    add("png_cut_in_text_behind.png", png(rgb, 8, 2, behind=png_chunk(b"tEXt", b"Comment\0" + b"a" * 99))[:-60])
    add("png_rows_left_over.png", png_of_data(b"\0" * 5 + b"\0" * 500))
    add("png_ends_after_two_rows.png", png_of_data(b"\0\1\2\3\4" * 2))
    add("png_ends_within_a_row.png", png_of_data(b"\0\1\2\3\4\0\1"))
    add("png_unknown_filter.png", png_of_data(b"\7\1\2\3\4" * 3))
    add("png_of_no_width.png", png_of_data(b"\0" * 15, width=0))
    add("png_unknown_colour_type.png", png_of_data(b"\0" * 15, colour_type=1))
    add("png_of_3_bits.png", png_of_data(b"\0" * 15, bits=3))
    add("png_too_large.png", png_of_data(b"\0" * 15, width=30000, height=30000))


def png_of_data(data, width=4, height=3, bits=8, colour_type=0):
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(data)) +
            png_chunk(b"IEND", b""))


def png_split(rows, chunk):
    whole = png(rows, 8, 2, parts=2)
    second = whole.index(b"IDAT", whole.index(b"IDAT") + 4) - 4
    return whole[:second] + chunk + whole[second:]


def gif_pictures(add):
    for bits in range(1, 9):
        rows = samples(bits, 1)
        add(f"gif_{bits}_bits.gif", gif(rows, colours(1 << bits), max(bits, 2)))
    rows, palette = samples(5, 1), colours(32)
    add("gif_interlaced.gif", gif(rows, palette, 5, interlaced=True))
    add("gif_interlaced_flat.gif", gif(samples(5, 1, 9, 2), palette, 5, interlaced=True))
    add("gif_own_palette.gif", gif(rows, palette, 5, own=colours(32, 1)))
    add("gif_only_own_palette.gif", gif(rows, None, 5, own=colours(32, 1)))
    add("gif_no_palette.gif", gif(rows, None, 5))
    add("gif_gray_palette.gif", gif(rows, b"".join(bytes([i] * 3) for i in range(16)), 5))
    add("gif_short_palette.gif", gif(rows, colours(8), 5))
    add("gif_transparent.gif", gif(rows, palette, 5, transparent=7))
    for transparent in (None, 5, 40):
        for background in (0, 9):
            add(f"gif_smaller_frame_{transparent}_{background}.gif",
                gif(rows, palette, 5, (30, 20), (4, 3), transparent=transparent, background=background))
    add("gif_smaller_frame_own_palette.gif", gif(rows, palette, 5, (30, 20), (4, 3), own=colours(32, 1)))
    add("gif_larger_frame.gif", gif(rows, palette, 5, (10, 10), (2, 1)))
    add("gif_no_clear_code.gif", gif(rows, palette, 5, clear_first=False))
    add("gif_full_table.gif", gif(samples(8, 1, 90, 90), colours(256), 8))
    comment = b"!\xfe\x05hello\0"
    add("gif_comment.gif", gif(rows, palette, 5, before=comment))
    add("gif_two_frames.gif", gif(rows, palette, 5, behind=gif(rows[::-1], None, 5)[13:]))
    whole = gif(rows, palette, 5)
    add("gif_without_end.gif", whole[:-1])
    add("gif_without_empty_block.gif", whole[:-2])
    for cut in (3, 10, 100, len(whole) - 30, len(whole) - 13, len(whole) - 6):
        add(f"gif_cut_by_{cut}.gif", whole[:-cut])
    add("gif_fewer_pixels.gif", gif(rows, palette, 5, pixels=lzw(sum(rows, [])[:100], 5)))
    add("gif_more_pixels.gif", gif(rows, palette, 5, pixels=lzw(sum(rows, []) + [1] * 50, 5)))
    add("gif_no_pixels.gif", gif(rows, palette, 5, pixels=b"\0"))
    add("gif_wrong_code.gif", gif(rows, palette, 5, pixels=b"\x03\xe0\xff\xff\0"))
    later = (32 | 1 << 6 | 40 << 12).to_bytes(3, "little")  # of six bits each: clear, 1, and one that is not known yet
    add("gif_wrong_later_code.gif", gif([[0] * 3], palette, 5, pixels=b"\x03" + later + b"\0"))
    same = (32 | 1 << 6 | 34 << 12 | 35 << 18 | 33 << 24).to_bytes(4, "little")  # the next each time: 1 pixel, 2, 3
    add("gif_codes_of_what_they_make.gif", gif([[0] * 6], palette, 5, pixels=b"\x04" + same + b"\0"))
    add("gif_code_size_12.gif", gif(rows, palette, 12, pixels=b"\x03\xe0\xff\xff\0"))
    add("gif_without_picture.gif", whole[:13 + 96] + b";")
    add("gif_of_no_width.gif", whole[:13 + 96 + 5] + b"\0\0" + whole[13 + 96 + 7:])
    add("gif_version_88.gif", b"GIF88a" + whole[6:])


def bmp_pictures(add):
    for bits in (1, 4, 8):
        for top_down in (False, True):
            add(f"bmp_{bits}{'_top_down' * top_down}.bmp", bmp(samples(bits, 1), bits, four_bytes(colours(1 << bits)),
                                                               top_down=top_down))
        add(f"bmp_{bits}_short_palette.bmp", bmp(samples(bits, 1), bits, four_bytes(colours((1 << bits) - 1))))
        add(f"bmp_{bits}_core.bmp", bmp(samples(bits, 1), bits, colours(1 << bits), header=12))
    for bits, channels in ((16, 1), (24, 3), (32, 4)):
        for top_down in (False, True):
            add(f"bmp_{bits}{'_top_down' * top_down}.bmp", bmp(samples(min(bits, 16) if bits == 16 else 8, channels), bits,
                                                               top_down=top_down))
        for header in (52, 56, 64, 108, 124):
            add(f"bmp_{bits}_header_{header}.bmp", bmp(samples(16 if bits == 16 else 8, channels), bits, header=header))
    add("bmp_24_core.bmp", bmp(samples(8, 3), 24, header=12))
    deep, wide = samples(16, 1), samples(8, 4)
    add("bmp_565.bmp", bmp(deep, 16, compression=3, masks=(0xf800, 0x7e0, 0x1f)))
    add("bmp_555.bmp", bmp(deep, 16, compression=3, masks=(0x7c00, 0x3e0, 0x1f)))
    add("bmp_444.bmp", bmp(deep, 16, compression=3, masks=(0xf00, 0xf0, 0xf)))
    for number, masks in enumerate(((0xff0000, 0xff00, 0xff), (0xff000000, 0xff0000, 0xff00), (0xff000000, 0xff00, 0xff),
                                    (0x3ff, 0xffc00, 0x3ff00000))):
        add(f"bmp_32_masks_{number}.bmp", bmp(wide, 32, compression=3, masks=masks))
    add("bmp_32_masks_rgba.bmp", bmp(wide, 32, header=108, compression=3, masks=(0xff, 0xff00, 0xff0000, 0xff000000)))
    add("bmp_32_masks_bgra.bmp", bmp(wide, 32, header=56, compression=3, masks=(0xff0000, 0xff00, 0xff, 0xff000000)))
    add("bmp_24_masks.bmp", bmp(samples(8, 3), 24, compression=3, masks=(0xff0000, 0xff00, 0xff)))
    grays = b"".join(bytes([i] * 3) for i in range(256))
    add("bmp_gray.bmp", bmp(samples(8, 1), 8, four_bytes(grays)))
    add("bmp_few_grays.bmp", bmp(samples(8, 1), 8, four_bytes(grays[:300])))
    add("bmp_white_and_black.bmp", bmp(samples(1, 1), 1, b"\xff\xff\xff\0\0\0\0\0"))
    add("bmp_black_and_white.bmp", bmp(samples(1, 1), 1, b"\0\0\0\0\xff\xff\xff\0"))
    palette = four_bytes(colours(256))
    add("bmp_no_offset.bmp", bmp(samples(8, 1), 8, palette, offset=0))
    add("bmp_offset_of_the_palette.bmp", bmp(samples(8, 1), 8, palette, offset=54))
    add("bmp_offset_behind_the_file.bmp", bmp(samples(8, 3), 24, offset=1 << 30))
    runs_8 = b"".join(bytes([5, y]) + b"\0\x05" + bytes(range(y, y + 5)) + b"\0" + bytes([9, y + 20, 2, 7]) + b"\0\0"
                      for y in range(HEIGHT))
    runs_4 = b"".join(bytes([5, 0x20 + y]) + b"\0\x05\x12\x34\x50\0" + bytes([9, 0x7f - y]) + b"\0\0"
                      for y in range(HEIGHT))
    rows = samples(8, 1)
    for name, kind, bits, runs in (("rle8", 1, 8, runs_8), ("rle4", 2, 4, runs_4)):
        colour_table = palette[:4 << bits]
        for what, data in (("", runs + b"\0\1"), ("_no_end", runs), ("_cut", runs[:-9]), ("_ends_early", runs[:40] + b"\0\1"),
                           ("_steps", b"\3\7\0\2\5\1" + runs + b"\0\2\4\0\0\1"), ("_wide_run", b"\xff\x11\0\0" + runs),
                           ("_step_behind_the_end", b"\0\2\xff\xff")):
            add(f"bmp_{name}{what}.bmp", bmp(rows, bits, colour_table, compression=kind, data=data))
        add(f"bmp_{name}_top_down.bmp", bmp(rows, bits, colour_table, top_down=True, compression=kind, data=runs + b"\0\1"))
    whole = bmp(samples(8, 3), 24)
    for cut in (1, 2, 40, len(whole) - 54, len(whole) - 40, len(whole) - 16):
        add(f"bmp_cut_by_{cut}.bmp", whole[:-cut])
    add("bmp_of_2_bits.bmp", bmp(samples(2, 1), 2, palette[:16]))
    add("bmp_of_jpeg.bmp", bmp(samples(8, 3), 24, compression=4))
    add("bmp_header_of_41.bmp", whole[:14] + b"\x29" + whole[15:])
    add("bmp_of_no_width.bmp", whole[:18] + bytes(4) + whole[22:])


def webp_pictures(add):
    rows = [list(zip(*[iter(row)] * 4)) for row in samples(8, 4)]
    still = riff_chunk(b"VP8L", vp8l(rows))
    add("webp_lossless.webp", webp(still))
    add("webp_lossless_transparent.webp", webp(riff_chunk(b"VP8L", vp8l(rows, True))))
    add("webp_extended.webp", webp(vp8x(0x10, WIDTH, HEIGHT), riff_chunk(b"VP8L", vp8l(rows, True))))
    add("webp_with_exif.webp", webp(vp8x(8, WIDTH, HEIGHT), still, riff_chunk(b"EXIF", b"II*\0\x08\0\0\0\0\0")))
    loop = riff_chunk(b"ANIM", b"\x10\x20\x30\xff\0\0")
    small = [row[:9] for row in rows[:5]]
    for name, x, y, shown in (("", 0, 0, rows), ("_smaller", 4, 2, small)):
        for alpha in (False, True):
            frames = webp_frame(x, y, shown, vp8l(shown, alpha), 0) + webp_frame(0, 0, rows, vp8l(rows[::-1]))
            add(f"webp_animated{name}{'_transparent' * alpha}.webp", webp(vp8x(0x12, WIDTH, HEIGHT), loop, frames))
    add("webp_frame_off_the_canvas.webp", webp(vp8x(2, 8, 8), loop, webp_frame(4, 4, small, vp8l(small))))
    lossy = (ODD / "lossy.webp").read_bytes()
    add("webp_lossy.webp", lossy)
    whole = webp(still)
    for cut in (1, 2, 30, 300, len(whole) - 30, len(whole) - 17):
        add(f"webp_cut_by_{cut}.webp", whole[:-cut])
    add("webp_lossy_cut.webp", lossy[:-20])
    add("webp_lossy_flipped.webp", flipped(lossy, 23))
    add("webp_flipped.webp", flipped(whole, 26, 0x40))
    add("webp_of_another_canvas.webp", webp(vp8x(0, WIDTH + 2, HEIGHT), still))
    add("webp_data_end_early.webp", webp(riff_chunk(b"VP8L", vp8l(rows)[:200])))
    add("webp_without_picture.webp", webp(vp8x(0, WIDTH, HEIGHT)))
    add("webp_unknown_kind.webp", webp(riff_chunk(b"VP8Z", vp8l(rows))))


def tiff_pictures(add):
    kinds = {"gray": (1, 1, ()), "white_is_zero": (0, 1, ()), "rgb": (2, 3, ()), "rgba": (2, 4, (2,)), "rgbx": (2, 4, (0,)),
             "rgb_premultiplied": (2, 4, (1,)), "rgb_and_unnamed": (2, 4, ()), "cmyk": (5, 4, ()),
             "gray_alpha": (1, 2, (2,)), "gray_premultiplied": (1, 2, (1,)), "gray_and_unknown": (1, 2, (0,)),
             "cmyk_and_transparency": (5, 5, (2,)), "cmyk_and_unknown": (5, 5, (0,)), "rgb_and_two": (2, 5, (2, 0))}
    for name, (photometric, count, extras) in kinds.items():
        for bits in (8, 16):
            rows = samples(bits, count)
            for big_endian in ((False, True) if bits == 16 and name in ("gray", "rgb", "cmyk") else (False,)):
                add(f"tiff_{name}_{bits}{'_big_endian' * big_endian}.tif",
                    tiff(rows, bits, photometric, count, extras=extras, big_endian=big_endian))
    for bits in (1, 2, 4, 8):
        for photometric in (0, 1):
            add(f"tiff_{bits}_bits_{photometric}.tif", tiff(samples(bits, 1), bits, photometric))
        table = [noise("tiff", i) >> 16 for i in range(3 << bits)]
        add(f"tiff_palette_{bits}.tif", tiff(samples(bits, 1), bits, 3, palette=table))
        add(f"tiff_palette_{bits}_packed.tif", tiff(samples(bits, 1), bits, 3, palette=table, compression=32773))
    signed = [[value - 300 for value in row] for row in samples(16, 1, below=900)]
    add("tiff_signed_16.tif", tiff(signed, 16, 1, sample_format=2))
    add("tiff_signed_32.tif", tiff(signed, 32, 1, sample_format=2))
    add("tiff_unsigned_32.tif", tiff([[value * 9000000 for value in row] for row in samples(8, 1)], 32, 1))
    real = [[value / 2.5 for value in row] for row in signed]
    real[0][:4] = [float("nan"), float("inf"), -float("inf"), 254.99]
    add("tiff_real.tif", tiff(real[1:], 32, 1, sample_format=3))
    add("tiff_dark_16.tif", tiff(samples(16, 1, below=300), 16, 1))
    gray, rgb = samples(8, 1), samples(8, 3)
    for orientation in range(1, 10):
        add(f"tiff_orientation_{orientation}.tif", tiff(rgb, 8, 2, 3, orientation=orientation))
        add(f"tiff_deflate_orientation_{orientation}.tif", tiff(rgb, 8, 2, 3, compression=8, orientation=orientation))
    for compression in (1, 8, 32946, 32773):
        for step in (1, 4, 13, 50):
            add(f"tiff_compression_{compression}_strips_of_{step}.tif",
                tiff(rgb, 8, 2, 3, compression=compression, rows_per_strip=step))
        add(f"tiff_compression_{compression}_tiles.tif", tiff(rgb, 8, 2, 3, compression=compression, tile=(16, 16)))
        for planar_kind, rows, count, photometric in (("rgb", rgb, 3, 2), ("cmyk", samples(8, 4), 4, 5)):
            add(f"tiff_compression_{compression}_planes_{planar_kind}.tif",
                tiff(rows, 8, photometric, count, compression=compression, planar=True, rows_per_strip=5))
        add(f"tiff_compression_{compression}_tiles_in_planes.tif",
            tiff(rgb, 8, 2, 3, compression=compression, planar=True, tile=(16, 16)))
    add("tiff_predictor.tif", tiff(rgb, 8, 2, 3, compression=8, predictor=2))
    add("tiff_predictor_16.tif", tiff(samples(16, 3), 16, 2, 3, compression=8, predictor=2))
    add("tiff_fill_order.tif", tiff(samples(1, 1), 1, 1, more=[(266, 3, [2])]))
    add("tiff_bits_in_tiles.tif", tiff(samples(1, 1), 1, 1, compression=8, tile=(16, 16)))
    add("tiff_big.tif", tiff(rgb, 8, 2, 3, large=True))
    add("tiff_ycbcr.tif", tiff(rgb, 8, 6, 3, compression=8, more=[(530, 3, [1, 1])]))
    add("tiff_rgb_of_two_samples.tif", tiff(samples(8, 2), 8, 2, 2))
    add("tiff_rgb_in_two_planes.tif", tiff(samples(8, 2), 8, 2, 2, planar=True))
    add("tiff_lab.tif", tiff(rgb, 8, 8, 3))
    whole, deflated = tiff(gray, 8, 1), tiff(rgb, 8, 2, 3, compression=8)
    pixels = 8 + WIDTH * HEIGHT
    add("tiff_pixels_cut.tif", tiff(gray, 8, 1, data=[b"".join(map(bytes, gray))[:-20]]))
    add("tiff_deflate_cut.tif", tiff(rgb, 8, 2, 3, compression=8, data=[zlib.compress(b"".join(map(bytes, rgb)))[:-200]]))
    add("tiff_deflate_short.tif", tiff(rgb, 8, 2, 3, compression=8, data=[zlib.compress(b"".join(map(bytes, rgb))[:-9])]))
    add("tiff_deflate_flipped.tif", flipped(deflated, 60))
    for cut in (4, 40, len(whole) - pixels - 2, len(whole) - 100, len(whole) - 9):
        add(f"tiff_cut_by_{cut}.tif", whole[:-cut])
    add("tiff_unknown_compression.tif", tiff(gray, 8, 1, compression=99, data=[b"abc"]))
    add("tiff_unknown_pixels.tif", tiff(gray, 8, 77))
    add("tiff_palette_missing.tif", tiff(gray, 8, 3))
    add("tiff_of_no_width.tif", tiff([[], []], 8, 1))
    add("tiff_too_large.tif", tiff(gray, 8, 1, size=(30000, 30000)))
    add("tiff_taller_than_its_data.tif", tiff(gray, 8, 1, size=(WIDTH, 2 * HEIGHT)))
    add("tiff_deflate_wider_than_its_data.tif", tiff(rgb, 8, 2, 3, compression=8, size=(2 * WIDTH, HEIGHT)))
    for name in ("lzw", "group4", "jpeg", "zstd"):
        written = (ODD / f"{name}.tif").read_bytes()
        add(f"tiff_{name}.tif", written)
        add(f"tiff_{name}_flipped.tif", flipped(written, 200))


def jpeg_pictures(add):
    turned = (ODD / "exif_turned.jpg").read_bytes()
    add("jpeg_turned.jpg", turned)
    for name in ("cmyk", "ycck", "gray", "progressive", "subsampled_444", "subsampled_422", "subsampled_420"):
        whole = (ODD / f"{name}.jpg").read_bytes()
        add(f"jpeg_{name}.jpg", whole)
        for cut in (2, 60, len(whole) // 2):
            add(f"jpeg_{name}_cut_by_{cut}.jpg", whole[:-cut])


def pictures():
    """Name and contents of each."""
    made = {}

    def add(name, data):
        assert name not in made, name
        made[name] = data

    for of_format in (png_pictures, gif_pictures, bmp_pictures, webp_pictures, tiff_pictures, jpeg_pictures):
        of_format(add)
    return made


if __name__ == "__main__":
    for name, data in pictures().items():
        (Path(sys.argv[1]) / name).write_bytes(data)
