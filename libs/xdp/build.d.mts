/** Of clang; undefined where there is none. */
export const clangVersion: () => string | undefined
/** Compiles to a file; false where clang fails or there is none. */
export const compileProgram: (target: string) => boolean
/** Builds it into build/ where there is clang and something changed; says so where clang fails. */
export const buildProgram: (folder?: string) => void
