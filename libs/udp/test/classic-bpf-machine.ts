/** Runs classic BPF as the kernel does over a UDP payload, with the IP header in front of it; for programs that packet-steering.ts writes. */
import { endianness } from "node:os"
import { NETWORK_HEADER } from "../src/classic-bpf.ts"

const LITTLE_ENDIAN = endianness() === "LE"

/** What the program returns; throws for an instruction that it should not have. */
export const runClassicProgram = (program: Uint8Array, ipHeader: Uint8Array, payload: Uint8Array): number => {
  const code = new DataView(program.buffer, program.byteOffset, program.length)
  const load = (at: number, size: number): number | undefined => {
    const [bytes, from] = at >= NETWORK_HEADER ? [ipHeader, at - NETWORK_HEADER] : [payload, at]
    if (from + size > bytes.length) return undefined
    return bytes.subarray(from, from + size).reduce((word, byte) => word * 256 + byte, 0)
  }
  let [a, x] = [0, 0]
  for (let pc = 0; pc < program.length / 8; pc += 1) {
    const k = code.getUint32(pc * 8 + 4, LITTLE_ENDIAN)
    const jump = (isTrue: boolean): void => void (pc += code.getUint8(pc * 8 + (isTrue ? 2 : 3)))
    const sizes: Readonly<Record<number, number>> = { 0x20: 4, 0x28: 2, 0x30: 1 }
    const opcode = code.getUint16(pc * 8, LITTLE_ENDIAN)
    if (sizes[opcode] !== undefined) {
      const loaded = load(k, sizes[opcode])
      if (loaded === undefined) return 0
      a = loaded
    } else if (opcode === 0x80) a = payload.length
    else if (opcode === 0x54) a = (a & k) >>> 0
    else if (opcode === 0xa4) a = (a ^ k) >>> 0
    else if (opcode === 0xac) a = (a ^ x) >>> 0
    else if (opcode === 0x24) a = Math.imul(a, k) >>> 0
    else if (opcode === 0x94) a %= k
    else if (opcode === 0x74) a >>>= k
    else if (opcode === 0x07) x = a
    else if (opcode === 0x05) pc += k
    else if (opcode === 0x15) jump(a === k)
    else if (opcode === 0x35) jump(a >= k)
    else if (opcode === 0x06) return k
    else if (opcode === 0x16) return a
    else throw new Error(`instruction ${pc} is ${opcode.toString(16)}`)
  }
  throw new Error("the program ran off its end")
}
