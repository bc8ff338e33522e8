/** What the fuzzer loads: it takes files that end in js or mjs alone. The target's name comes in the environment. */
export const { fuzz } = await import(`./targets/${process.env.MERIDIAN_FUZZ_TARGET}.ts`)
