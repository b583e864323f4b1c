# SPDX-License-Identifier: Apache-2.0
"""Writes odd/: small photographs of every unusual kind, and beside each what Pillow makes of it as NAME.ppm.

usage: make_odd_photographs.py   (pip install pillow numpy; last run with Pillow 13.0.0)
"""
import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

out = pathlib.Path(__file__).parent / "odd"
width, height = 37, 29
y, x = np.mgrid[0:height, 0:width]
waves = np.stack([128 + 127 * np.sin(x / 5 + y / 9 + c) * np.cos(y / (4 + c)) for c in range(4)], -1)
pixels = waves.astype(np.uint8)
rgb = Image.fromarray(pixels[..., :3], "RGB")
gray = Image.fromarray(pixels[..., 0], "L")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(colour_type, samples, bits=16):
    """A PNG of big-endian samples (height, width, channels), written by hand: Pillow writes few 16-bit kinds."""
    rows = b"".join(b"\0" + row.astype(">u2" if bits == 16 else "u1").tobytes() for row in samples)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


cmyk = encoded(Image.fromarray(pixels, "CMYK"), "JPEG", quality=90)
adobe = cmyk.index(b"Adobe") + 11  # the marker's last byte is the colour transform: 2 means YCCK
exif = Image.Exif()
exif[0x0112] = 6  # turned by 90 degrees; to be ignored
deep = (waves * 257).astype(np.uint16)
dark = (waves[..., :1] * 2).astype(np.uint16)
files = {
    "cmyk.jpg": cmyk,
    "ycck.jpg": cmyk[:adobe] + b"\2" + cmyk[adobe + 1 :],
    "gray.jpg": encoded(gray, "JPEG", quality=85),
    "progressive.jpg": encoded(rgb, "JPEG", quality=85, progressive=True),
    "subsampled_444.jpg": encoded(rgb, "JPEG", quality=95, subsampling=0),
    "subsampled_422.jpg": encoded(rgb, "JPEG", quality=60, subsampling=1),
    "subsampled_420.jpg": encoded(rgb, "JPEG", quality=30, subsampling=2),
    "exif_turned.jpg": encoded(rgb, "JPEG", quality=85, exif=exif),
    "png_named.jpg": encoded(rgb, "PNG"),
    "gif_named.jpg": encoded(rgb.quantize(64), "GIF"),
    "transparent.gif": encoded(rgb.quantize(32), "GIF", transparency=3),
    "gray.gif": encoded(gray, "GIF"),
    "two_frames.gif": encoded(rgb.quantize(16), "GIF", save_all=True, append_images=[gray.convert("P")]),
    "rgba.png": encoded(Image.fromarray(pixels, "RGBA"), "PNG"),
    "gray_alpha.png": encoded(Image.fromarray(pixels[..., :2].copy(), "LA"), "PNG"),
    "palette.png": encoded(rgb.quantize(200), "PNG"),
    "palette_transparent.png": encoded(rgb.quantize(12), "PNG", transparency=2),
    "one_bit.png": encoded(gray.convert("1"), "PNG"),
    "rgb16.png": png(2, deep[..., :3]),
    "rgba16.png": png(6, deep),
    "gray16.png": png(0, deep[..., :1]),
    "gray16_dark.png": png(0, dark),
    "gray_alpha16.png": png(4, deep[..., :2]),
    "rgb24.bmp": encoded(rgb, "BMP"),
    "palette.bmp": encoded(rgb.quantize(100), "BMP"),
    "gray.bmp": encoded(gray, "BMP"),
    "lossy.webp": encoded(rgb, "WEBP", quality=60),
    "lzw.tif": encoded(rgb, "TIFF", compression="tiff_lzw"),
    "group4.tif": encoded(gray.convert("1"), "TIFF", compression="group4"),
    "jpeg.tif": encoded(rgb, "TIFF", compression="jpeg", quality=70),
    "zstd.tif": encoded(rgb.quantize(16), "TIFF", compression="zstd"),
}
out.mkdir(exist_ok=True)
for name, data in files.items():
    (out / name).write_bytes(data)
    Image.open(io.BytesIO(data)).convert("RGB").save(out / (name + ".ppm"))
