/**
 * The functions of node:fs that processes of a node use. An import of node:fs itself reads all that it exports, and its streams and promises are modules
 * that are loaded when they are read: 10 ms of CPU and half a megabyte in each process, for what none of them uses.
 */
export const {
  accessSync,
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  watch,
  writeFileSync,
  writeSync
} = process.getBuiltinModule("node:fs")
