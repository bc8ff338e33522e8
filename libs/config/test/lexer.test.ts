import { describe, expect, it } from "vitest"
import { lex, MAX_FILE_BYTES, MAX_LINE_BYTES } from "../src/lexer.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Tokens as `line:column:length kind text`. */
const tokens = (text: string): string[] =>
  lex("f", bytes(text)).lines.flatMap((line) =>
    line.tokens.map((one) => `${one.line}:${one.column}:${one.length} ${one.kind} ${one.text}`)
  )

/** The only diagnostic as `line:column message`. */
const problem = (input: string | Uint8Array): string => {
  const { diagnostics, lines } = lex("f", typeof input === "string" ? bytes(input) : input)
  expect(lines).toEqual([])
  expect(diagnostics).toHaveLength(1)
  const [one] = diagnostics
  return `${one!.line}:${one!.column} ${one!.message}`
}

describe("lex", () => {
  it.each([
    ["words and columns", "port 123", ["1:1:4 word port", "1:6:3 word 123"]],
    ["tabs count as one character", "\tport\t 123", ["1:2:4 word port", "1:8:3 word 123"]],
    ["CRLF", "a\r\nb\r\n", ["1:1:1 word a", "2:1:1 word b"]],
    ["no final newline", "a\nb", ["1:1:1 word a", "2:1:1 word b"]],
    ["blank lines are counted", "\n \n\t\na", ["4:1:1 word a"]],
    ["a comment in the middle of a word", "a b#c d", ["1:1:1 word a", "1:3:1 word b"]],
    ["a comment alone", "# a\n#\n", []],
    ["a string keeps blanks and comment signs", 'a "b # c"', ["1:1:1 word a", "1:3:7 string b # c"]],
    ["an empty string", 'driftfile ""', ["1:1:9 word driftfile", "1:11:2 string "]],
    ["a string ends a word", 'a"b"c', ["1:1:1 word a", "1:2:3 string b", "1:5:1 word c"]],
    ["a group", "trustedkey 1 (10 ... 20)", ["1:1:10 word trustedkey", "1:12:1 word 1", "1:14:11 group 10 ... 20"]],
    ["a parenthesis inside a word", "logfile /a(1).log", ["1:1:7 word logfile", "1:9:9 word /a(1).log"]],
    ["characters, not bytes or UTF-16 units", "é😀 x", ["1:1:2 word é😀", "1:4:1 word x"]],
    ["a byte order mark", "\uFEFFport 1", ["1:1:4 word port", "1:6:1 word 1"]],
    [
      "signs stay in words",
      "logconfig =syncall +clockall -4 fe80::1%eth0",
      [
        "1:1:9 word logconfig",
        "1:11:8 word =syncall",
        "1:20:9 word +clockall",
        "1:30:2 word -4",
        "1:33:12 word fe80::1%eth0"
      ]
    ]
  ])("%s", (_, text, expected) => {
    expect(tokens(text)).toEqual(expected)
    expect(lex("f", bytes(text)).diagnostics).toEqual([])
  })

  it("refuses what cannot be read, and says where", () => {
    expect(problem('ab "c')).toBe('1:4 found " without its partner, expected a closing quote (") on this line')
    expect(problem("\n a (1 ... 2")).toBe(
      "2:4 found ( without its partner, expected a closing parenthesis ()) on this line"
    )
    expect(problem("ab\0c")).toBe("1:3 found the character U+0000, which cannot be seen; delete it")
    expect(problem('"a\u001Bc"')).toBe("1:3 found the character U+001B, which cannot be seen; delete it")
    expect(problem("port\u00A0123")).toBe(
      "1:5 found the character U+00A0, which looks like a space and is none; type a plain space"
    )
    expect(problem("po\u200Brt")).toBe("1:3 found the character U+200B, which cannot be seen; delete it")
  })

  it("finds the first byte that is not UTF-8, in characters", () => {
    const notUtf8 = "which is not UTF-8; expected a text file in UTF-8"
    expect(problem(Uint8Array.of(0xc3, 0xa9, 0x20, 0xff, 0x20))).toBe(`1:3 found byte 0xff, ${notUtf8}`)
    expect(problem(Uint8Array.of(0x61, 0xe9, 0x62))).toBe(`1:2 found byte 0xe9, ${notUtf8}`)
    expect(problem(Uint8Array.of(0x61, 0xe2, 0x82))).toBe(`1:2 found byte 0xe2, ${notUtf8}`)
    expect(problem(Uint8Array.of(0xc0, 0x80))).toBe(`1:1 found byte 0xc0, ${notUtf8}`)
    expect(problem(Uint8Array.of(0xed, 0xa0, 0x80))).toBe(`1:1 found byte 0xed, ${notUtf8}`)
  })

  it("does not look into comments for strings", () => {
    expect(tokens('a # "b (c')).toEqual(["1:1:1 word a"])
  })

  it("keeps the lines around a bad one", () => {
    const { lines, diagnostics } = lex("f", bytes('a\n"\nb'))
    expect(lines.map((line) => line.tokens[0]?.text)).toEqual(["a", "b"])
    expect(diagnostics.map(({ line }) => line)).toEqual([2])
  })

  it("bounds lines and files", () => {
    expect(lex("f", bytes("a".repeat(MAX_LINE_BYTES))).diagnostics).toEqual([])
    expect(problem("a".repeat(MAX_LINE_BYTES + 1))).toBe(`1:1 the line has 4097 bytes, expected at most 4096`)
    expect(problem(new Uint8Array(MAX_FILE_BYTES + 1).fill(0x0a))).toMatch(
      /^1:1 the file has 16777217 bytes, expected at most/
    )
    expect(lex("f", new Uint8Array(MAX_FILE_BYTES).fill(0x0a)).diagnostics).toEqual([])
  })
})
