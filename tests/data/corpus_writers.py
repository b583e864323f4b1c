# SPDX-License-Identifier: Apache-2.0
"""Writes small pictures in the formats that petnet reads, by the standard library alone, for corpus.py."""
import struct
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def packed(samples, bits):
    """Samples of up to 16 bits as bytes, the first in the high bits, padded to a whole byte."""
    if bits == 8:
        return bytes(samples)
    if bits == 16:
        return struct.pack(f">{len(samples)}H", *samples)
    text = "".join(format(sample, f"0{bits}b") for sample in samples)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def png_chunk(name, data, checksum=None):
    return struct.pack(">I", len(data)) + name + data + struct.pack(
        ">I", zlib.crc32(name + data) if checksum is None else checksum)


def png_filtered(kind, row, above, pixel):
    """The row as filter `kind` (0 to 4) stores it."""
    out = bytearray([kind])
    for i, value in enumerate(row):
        left = row[i - pixel] if i >= pixel else 0
        up = above[i]
        corner = above[i - pixel] if i >= pixel else 0
        guess = left + up - corner
        paeth = min((left, up, corner), key=lambda near: abs(guess - near))
        out.append((value - (0, left, up, (left + up) // 2, paeth)[kind]) & 255)
    return bytes(out)


def png_rows(rows, bits, channels, interlaced):
    """`rows`: lists of samples, pixel after pixel. The filters take turns."""
    def of_pass(taken):
        above, data = None, b""
        for number, row in enumerate(taken):
            stored = packed(row, bits)
            data += png_filtered(number % 5, stored, above or bytes(len(stored)), max(1, bits * channels // 8))
            above = stored
        return data

    if not interlaced:
        return of_pass(rows)
    data = b""
    for x, y, right, below in ADAM7:
        taken = [[s for i in range(x * channels, len(row), right * channels) for s in row[i:i + channels]]
                 for row in rows[y::below]]
        data += of_pass([row for row in taken if row])
    return data


def png(rows, bits, colour_type, palette=None, interlaced=False, between=b"", parts=1, behind=b""):
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    header = struct.pack(">IIBBBBB", len(rows[0]) // channels, len(rows), bits, colour_type, 0, 0, int(interlaced))
    data = zlib.compress(png_rows(rows, bits, channels, interlaced), 9)
    step = -(-len(data) // parts)
    return (PNG_SIGNATURE + png_chunk(b"IHDR", header) + (png_chunk(b"PLTE", palette) if palette is not None else b"") +
            between + b"".join(png_chunk(b"IDAT", data[i:i + step]) for i in range(0, len(data), step)) + behind +
            png_chunk(b"IEND", b""))


def lzw(indices, bits, clear_first=True):
    """GIF's compression of indices of `bits` bits, with true codes, in blocks."""
    clear, end = 1 << bits, (1 << bits) + 1
    codes, out, held, held_bits = {}, bytearray(), 0, 0
    width = bits + 1

    def put(code):
        nonlocal held, held_bits
        held |= code << held_bits
        held_bits += width
        while held_bits >= 8:
            out.append(held & 255)
            held >>= 8
            held_bits -= 8

    def restart():
        nonlocal codes, width
        codes = {(i,): i for i in range(clear)}
        width = bits + 1

    restart()
    if clear_first:
        put(clear)
    known = ()
    following = end + 1
    for index in indices:
        if known + (index,) in codes:
            known += (index,)
            continue
        put(codes[known])
        if following < 4096:
            codes[known + (index,)] = following
            if following == 1 << width and width < 12:
                width += 1
            following += 1
        else:
            put(clear)
            restart()
            following = end + 1
        known = (index,)
    put(codes[known])
    put(end)
    if held_bits:
        out.append(held & 255)
    return b"".join(bytes([len(out[i:i + 255])]) + out[i:i + 255] for i in range(0, len(out), 255)) + b"\0"


def gif(rows, palette, bits=8, screen=None, at=(0, 0), own=None, transparent=None, interlaced=False, background=0,
        clear_first=True, pixels=None, before=b"", behind=b";"):
    """One frame. `palette`: of the file, `own`: of the frame; 3 << n bytes or None. `pixels`: other data."""
    def size_bits(colours):
        return (len(colours) // 3).bit_length() - 2

    width, height = len(rows[0]), len(rows)
    screen = screen or (width, height)
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80 | size_bits(palette) if palette else 0, background, 0)
    out += (palette or b"") + before
    if transparent is not None:
        out += b"!\xf9\x04\x01\0\0" + bytes([transparent]) + b"\0"
    flags = (0x80 | size_bits(own) if own else 0) | (0x40 if interlaced else 0)
    out += b"," + struct.pack("<HHHHB", *at, width, height, flags) + (own or b"")
    if interlaced:
        rows = rows[0::8] + rows[4::8] + rows[2::4] + rows[1::2]
    data = lzw([i for row in rows for i in row], bits, clear_first) if pixels is None else pixels
    return out + bytes([bits]) + data + behind


def bmp(rows, bits, palette=None, header=40, top_down=False, compression=0, masks=None, data=None, colours=None,
        offset=None):
    """`rows`: lists of indices, of 16-bit numbers, or of samples blue green red (and one more). `palette`: four bytes a
    colour, three where the header has 12."""
    width = len(rows[0]) // {24: 3, 32: 4}.get(bits, 1)
    if data is None:
        stored = [struct.pack(f"<{width}H", *row) if bits == 16 else packed(row, min(bits, 8)) for row in rows]
        data = b"".join(row + bytes(-len(row) % 4) for row in (stored if top_down else stored[::-1]))
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, len(rows), 1, bits)
    else:
        count = (len(palette) // 4 if palette and len(palette) // 4 != 1 << bits else 0) if colours is None else colours
        head = struct.pack("<IiiHHIIiiII", 40, width, -len(rows) if top_down else len(rows), 1, bits, compression, 0, 0,
                           0, count, 0)
        head = struct.pack("<I", header) + head[4:]
        if masks:
            head += struct.pack(f"<{len(masks)}I", *masks)
        head += bytes(max(0, header - len(head)))
    head += palette or b""
    place = 14 + len(head) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(data), 0, 0, place) + head + data


def packbits(row):
    out = b""
    for i in range(0, len(row), 100):
        part = row[i:i + 100]
        out += bytes([257 - len(part), part[0]]) if len(set(part)) == 1 and len(part) > 1 else bytes([len(part) - 1]) + part
    return out


def tiff(rows, bits, photometric, samples=1, compression=1, extras=(), sample_format=None, big_endian=False, planar=False,
         rows_per_strip=None, tile=None, palette=None, orientation=None, predictor=None, more=(), large=False, data=None,
         size=None):
    """`rows`: lists of samples, pixel after pixel; floats where `sample_format` is 3. `tile`: (width, height).
    `size`: what the header says instead of the true one."""
    order = ">" if big_endian else "<"
    width, height = len(rows[0]) // samples, len(rows)

    def row_bytes(row, channels):
        if bits in (16, 32):
            if predictor == 2:
                row = [(value - (row[i - channels] if i >= channels else 0)) & ((1 << bits) - 1)
                       for i, value in enumerate(row)]
            kind = {(16, 2): "h", (32, 2): "i", (32, 3): "f", (32, None): "I", (32, 1): "I"}.get((bits, sample_format), "H")
            return struct.pack(f"{order}{len(row)}{kind}", *row)
        if predictor == 2:
            row = [(value - (row[i - channels] if i >= channels else 0)) & 255 for i, value in enumerate(row)]
        return packed(row, bits)

    def block(part, channels):
        stored = [row_bytes(row, channels) for row in part]
        if compression == 32773:
            return b"".join(packbits(row) for row in stored)
        return zlib.compress(b"".join(stored)) if compression in (8, 32946) else b"".join(stored)

    planes = [[row[c::samples] for row in rows] for c in range(samples)] if planar else [rows]
    channels = 1 if planar else samples
    blocks = []
    if data is not None:
        blocks = data
    elif tile:
        for plane in planes:
            for y in range(0, height, tile[1]):
                for x in range(0, width, tile[0]):
                    part = [row[x * channels:(x + tile[0]) * channels] for row in plane[y:y + tile[1]]]
                    part = [row + [0] * (tile[0] * channels - len(row)) for row in part]
                    blocks.append(block(part + [[0] * (tile[0] * channels)] * (tile[1] - len(part)), channels))
    else:
        step = rows_per_strip or height
        for plane in planes:
            blocks += [block(plane[y:y + step], channels) for y in range(0, height, step)]

    body, places = b"", []
    start = 16 if large else 8
    for each in blocks:
        places.append(start + len(body))
        body += each + bytes(len(each) % 2)
    said = size or (width, height)
    fields = [(256, 4, [said[0]]), (257, 4, [said[1]]), (258, 3, [bits] * samples), (259, 3, [compression]),
              (262, 3, [photometric]), (277, 3, [samples])]
    sizes = [len(each) for each in blocks]
    if tile:
        fields += [(322, 4, [tile[0]]), (323, 4, [tile[1]]), (324, 4, places), (325, 4, sizes)]
    else:
        fields += [(273, 4, places), (278, 4, [rows_per_strip or height]), (279, 4, sizes)]
    for tag, value in ((274, orientation), (317, predictor)):
        if value is not None:
            fields.append((tag, 3, [value]))
    if planar:
        fields.append((284, 3, [2]))
    if extras:
        fields.append((338, 3, list(extras)))
    if sample_format:
        fields.append((339, 3, [sample_format] * samples))
    if palette:
        fields.append((320, 3, palette))
    fields = sorted(fields + list(more))
    count, offset, room = ("Q", "Q", 8) if large else ("I", "I", 4)
    entry = 4 + 2 * room
    at = start + len(body)
    tail_at = at + (8 if large else 2) + entry * len(fields) + room
    entries = tail = b""
    for tag, kind, values in fields:
        stored = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        entries += struct.pack(f"{order}HH{count}", tag, kind, len(values))
        if len(stored) <= room:
            entries += stored.ljust(room, b"\0")
        else:
            entries += struct.pack(order + offset, tail_at + len(tail))
            tail += stored + bytes(len(stored) % 2)
    head = (b"MM" if big_endian else b"II") + (struct.pack(order + "HHHQ", 43, 8, 0, at) if large
                                               else struct.pack(order + "HI", 42, at))
    return head + body + struct.pack(order + ("Q" if large else "H"), len(fields)) + entries + bytes(room) + tail


def riff_chunk(name, data):
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def webp(*chunks):
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def vp8l(rows, alpha=False):
    """The lossless bit stream: each pixel (red, green, blue, transparency) as it is, eight bits a value."""
    held = bits = 0

    def put(value, count):
        nonlocal held, bits
        held |= value << bits
        bits += count

    put(0x2f, 8)
    put(len(rows[0]) - 1, 14)
    put(len(rows) - 1, 14)
    put(int(alpha), 1)
    put(0, 3)  # the version
    put(0, 3)  # no transform, no colour cache, one set of codes
    for symbols in (280, 256, 256, 256):  # green and lengths, red, blue, transparency
        put(0, 1)  # no simple code
        put(12 - 4, 4)  # the lengths of codes are told by codes; 12 of their lengths follow
        for symbol in (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8):  # in this order
            put(1 if symbol in (0, 8) else 0, 3)
        put(0, 1)  # the lengths of all symbols follow
        for symbol in range(symbols):
            put(int(symbol < 256), 1)  # 0 or 8
    put(1, 1)  # a simple code for distances, of one symbol
    put(0, 1)
    put(0, 1)
    put(0, 1)

    def put_code(value):  # codes begin with their high bit
        put(int(format(value, "08b")[::-1], 2), 8)

    for row in rows:
        for red, green, blue, transparency in row:
            for value in (green, red, blue, transparency):
                put_code(value)
    return held.to_bytes(-(-bits // 8), "little")


def webp_frame(x, y, rows, data, flags=2):
    """A frame of an animation; x and y are even."""
    def three(value):
        return struct.pack("<I", value)[:3]

    head = three(x // 2) + three(y // 2) + three(len(rows[0]) - 1) + three(len(rows) - 1) + three(100) + bytes([flags])
    return riff_chunk(b"ANMF", head + riff_chunk(b"VP8L", data))


def vp8x(flags, width, height):
    return riff_chunk(b"VP8X", struct.pack("<I", flags) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3])
