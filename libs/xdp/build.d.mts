/** Of clang; undefined where there is none. */
export const clangVersion: () => string | undefined
/** Compiles to a file; false where clang fails or there is none. */
export const compileProgram: (target: string) => boolean
