// Arrays of the page: base64 of deflated byte planes, read when they are first asked for.

const NAN = 32767, INFINITE = 32766, MINUS_INFINITE = 32765;

async function bytesOf(id) {
  const text = byId(id).textContent.trim();
  const bytes = Uint8Array.fromBase64
    ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Numbers with all bits of their float64.
async function exact(id) {
  const planes = await bytesOf(id), n = planes.length / 8;
  const bytes = new Uint8Array(planes.length);
  for (let plane = 0; plane < 8; plane++) {
    for (let i = 0; i < n; i++) bytes[8 * i + plane] = planes[plane * n + i];
  }
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: n }, (_, i) => view.getFloat64(8 * i, true));
}

// Numbers rounded to decimal digits: mantissa * 10^(exponent - digits + 1).
async function decimals(id, digits) {
  const planes = await bytesOf(id), n = planes.length / 6;
  const found = new Float64Array(n), powers = [];
  for (let i = 0; i < n; i++) {
    const mantissa = planes[i] | (planes[n + i] << 8) | (planes[2 * n + i] << 16) | (planes[3 * n + i] << 24);
    const exponent = ((planes[4 * n + i] | (planes[5 * n + i] << 8)) << 16) >> 16;
    if (exponent === NAN) found[i] = NaN;
    else if (exponent >= MINUS_INFINITE) found[i] = exponent === INFINITE ? Infinity : -Infinity;
    else {
      const power = exponent - digits + 1;
      // A power of ten up to 10^22 is exact, so that the quotient is the number nearest to the decimals.
      if (power >= -22 && power < 0) found[i] = mantissa / (powers[-power] ??= 10 ** -power);
      else found[i] = Number(`${mantissa}e${power}`);
    }
  }
  return found;
}
