/**
 * Reads a BPF program as clang writes it (ELF, 64 bits, little-endian): its instructions, the maps it names and where, its license. As much of ELF as
 * one program with one section of maps needs; nothing of it is trusted, for the kernel verifies what is loaded.
 */

/** As `struct map_definition` of native/kernel.bpf.h has it. */
export interface MapDefinition {
  readonly name: string
  readonly type: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly entries: number
  readonly flags: number
}

export interface BpfObject {
  readonly instructions: Uint8Array
  readonly license: string
  readonly maps: readonly MapDefinition[]
  /** Where instructions name a map: the offset of the instruction, and the map's name. */
  readonly references: readonly { readonly at: number; readonly map: string }[]
}

/** The file is no such object. */
export class BpfObjectError extends Error {
  readonly _tag = "BpfObjectError"
  constructor(found: string) {
    super(`expected a BPF object as clang writes it, found ${found}: build it again with node libs/xdp/build.mjs`)
  }
}

const HEADER_BYTES = 64
const SECTION_BYTES = 64
const SYMBOL_BYTES = 24
const RELOCATION_BYTES = 16
const DEFINITION_BYTES = 20
const INSTRUCTION_BYTES = 8
const ELF_MAGIC = 0x7f454c46
const MACHINE_BPF = 247
/** R_BPF_64_64: a map, named by an instruction that loads 64 bits. */
const RELOCATION_MAP = 1
const MOST_SECTIONS = 256

interface Section {
  readonly name: string
  readonly bytes: Uint8Array
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const textAt = (bytes: Uint8Array, at: number): string => {
  const end = bytes.indexOf(0, at)
  return new TextDecoder().decode(bytes.subarray(at, end === -1 ? undefined : end))
}

/** @throws BpfObjectError for what ends too early */
const cut = (bytes: Uint8Array, at: bigint, length: bigint): Uint8Array => {
  if (at + length > BigInt(bytes.length)) throw new BpfObjectError("a section behind the end of the file")
  return bytes.subarray(Number(at), Number(at + length))
}

const readSections = (file: Uint8Array): readonly Section[] => {
  if (file.length < HEADER_BYTES) throw new BpfObjectError(`${file.length} bytes`)
  const view = viewOf(file)
  if (view.getUint32(0) !== ELF_MAGIC || view.getUint16(4) !== 0x0201) throw new BpfObjectError("another format")
  if (view.getUint16(18, true) !== MACHINE_BPF) throw new BpfObjectError("a program for another machine")
  const at = view.getBigUint64(40, true)
  const count = view.getUint16(60, true)
  const namesIndex = view.getUint16(62, true)
  if (count > MOST_SECTIONS || namesIndex >= count) throw new BpfObjectError(`${count} sections`)
  const headers = viewOf(cut(file, at, BigInt(count * SECTION_BYTES)))
  const contents = (index: number): Uint8Array => {
    const start = index * SECTION_BYTES
    return cut(file, headers.getBigUint64(start + 24, true), headers.getBigUint64(start + 32, true))
  }
  const names = contents(namesIndex)
  return Array.from({ length: count }, (_, index) => ({
    name: textAt(names, headers.getUint32(index * SECTION_BYTES, true)),
    bytes: headers.getUint32(index * SECTION_BYTES + 4, true) === 0 ? new Uint8Array() : contents(index)
  }))
}

/**
 * Reads an object file.
 * @throws BpfObjectError
 */
export const readBpfObject = (file: Uint8Array): BpfObject => {
  const sections = readSections(file)
  const named = (name: string): Uint8Array => {
    const found = sections.find((section) => section.name === name)
    if (found === undefined) throw new BpfObjectError(`no section ${name}`)
    return found.bytes
  }
  const instructions = named("xdp")
  if (instructions.length === 0 || instructions.length % INSTRUCTION_BYTES !== 0)
    throw new BpfObjectError(`${instructions.length} bytes of instructions`)
  const mapsIndex = sections.findIndex(({ name }) => name === "maps")
  const definitions = viewOf(named("maps"))
  const symbols = viewOf(named(".symtab"))
  const names = named(".strtab")
  const mapOf = (symbol: number): MapDefinition | undefined => {
    const start = symbol * SYMBOL_BYTES
    if (start + SYMBOL_BYTES > symbols.byteLength || symbols.getUint16(start + 6, true) !== mapsIndex) return undefined
    const at = Number(symbols.getBigUint64(start + 8, true))
    if (symbols.getBigUint64(start + 16, true) !== BigInt(DEFINITION_BYTES)) return undefined
    if (at + DEFINITION_BYTES > definitions.byteLength) throw new BpfObjectError("a map behind the end of its section")
    const field = (index: number): number => definitions.getUint32(at + 4 * index, true)
    return {
      name: textAt(names, symbols.getUint32(start, true)),
      type: field(0),
      keyBytes: field(1),
      valueBytes: field(2),
      entries: field(3),
      flags: field(4)
    }
  }
  const relocations = viewOf(named(".relxdp"))
  const references = Array.from({ length: Math.floor(relocations.byteLength / RELOCATION_BYTES) }, (_, index) => {
    const at = Number(relocations.getBigUint64(index * RELOCATION_BYTES, true))
    const type = relocations.getUint32(index * RELOCATION_BYTES + 8, true)
    const map = mapOf(relocations.getUint32(index * RELOCATION_BYTES + 12, true))
    if (type !== RELOCATION_MAP || map === undefined)
      throw new BpfObjectError("a reference to something else than a map")
    if (at % INSTRUCTION_BYTES !== 0 || at + 2 * INSTRUCTION_BYTES > instructions.length)
      throw new BpfObjectError("a reference behind the end of the program")
    return { at, map: map.name }
  })
  const maps = Array.from({ length: Math.floor(symbols.byteLength / SYMBOL_BYTES) }, (_, symbol) => mapOf(symbol))
  return {
    instructions,
    license: textAt(named("license"), 0),
    maps: maps.filter((map) => map !== undefined),
    references
  }
}
