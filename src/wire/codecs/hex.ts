/** Lower-case ASCII of 0 to 15. */
export const hexDigits = Uint8Array.from('0123456789abcdef', digit => digit.charCodeAt(0));

/** Value of an ASCII hexadecimal digit by its code; 255 for every other byte. */
export const hexValues = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) {
  hexValues[hexDigits[i]!] = i;
  hexValues[i.toString(16).toUpperCase().charCodeAt(0)] = i;
}
