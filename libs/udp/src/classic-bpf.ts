/**
 * Writes classic BPF (linux/filter.h): a program that the kernel runs over a datagram. One register A to count with, one register X;
 * conditional jumps go forwards, by at most 255 instructions. A load from outside the datagram ends the program with 0.
 */
import { endianness } from "node:os"

const LITTLE_ENDIAN = endianness() === "LE"
const INSTRUCTION_BYTES = 8
const LONGEST_JUMP = 255

/** Loads from here on count from the network header, wherever the datagram begins (SKF_NET_OFF). */
export const NETWORK_HEADER = 0xfff0_0000

/** Codes of operations that have one operand, or none. */
const Code = {
  loadWord: 0x20,
  loadHalf: 0x28,
  loadByte: 0x30,
  loadLength: 0x80,
  and: 0x54,
  xor: 0xa4,
  xorX: 0xac,
  multiply: 0x24,
  modulo: 0x94,
  shiftRight: 0x74,
  copyToX: 0x07,
  jump: 0x05,
  jumpIfEqual: 0x15,
  jumpIfGreaterOrEqual: 0x35,
  returnNumber: 0x06,
  returnA: 0x16
} as const

type Condition = "jumpIfEqual" | "jumpIfGreaterOrEqual"

interface Instruction {
  readonly code: number
  readonly operand: number
  /** Labels; undefined goes on with the next instruction. */
  readonly whenTrue?: string | undefined
  readonly whenFalse?: string | undefined
}

export class ClassicProgram {
  private readonly instructions: Instruction[] = []
  private readonly labels = new Map<string, number>()

  /** Appends an operation on A. */
  do(operation: Exclude<keyof typeof Code, Condition | "jump">, operand = 0): this {
    this.instructions.push({ code: Code[operation], operand: operand >>> 0 })
    return this
  }

  /** Goes on at one label or the other; at the next instruction for one that is left out. */
  if(condition: Condition, operand: number, whenTrue: string | undefined, whenFalse?: string): this {
    this.instructions.push({ code: Code[condition], operand: operand >>> 0, whenTrue, whenFalse })
    return this
  }

  goTo(label: string): this {
    this.instructions.push({ code: Code.jump, operand: 0, whenTrue: label })
    return this
  }

  /** Names the instruction that follows. */
  label(name: string): this {
    this.labels.set(name, this.instructions.length)
    return this
  }

  /** The program as the kernel takes it: struct sock_filter, one after the other. */
  encode(): Uint8Array {
    const bytes = new Uint8Array(this.instructions.length * INSTRUCTION_BYTES)
    const view = new DataView(bytes.buffer)
    this.instructions.forEach(({ code, operand, whenTrue, whenFalse }, index) => {
      const at = index * INSTRUCTION_BYTES
      const isJump = code === Code.jump
      view.setUint16(at, code, LITTLE_ENDIAN)
      if (!isJump) {
        view.setUint8(at + 2, this.distance(index, whenTrue, LONGEST_JUMP))
        view.setUint8(at + 3, this.distance(index, whenFalse, LONGEST_JUMP))
      }
      view.setUint32(at + 4, isJump ? this.distance(index, whenTrue, Infinity) : operand, LITTLE_ENDIAN)
    })
    return bytes
  }

  private distance(from: number, label: string | undefined, longest: number): number {
    if (label === undefined) return 0
    const distance = (this.labels.get(label) ?? -1) - from - 1
    if (distance < 0 || distance > longest)
      throw new RangeError(`expected ${label} at most ${longest} instructions ahead, found it ${distance} ahead`)
    return distance
  }
}
