/** Constants of RFC 5905 that more than one algorithm uses, under the RFC's names. All times are in seconds. */

/** Root distance past which a source is not fit (RFC 5905 §11.1, MAXDIST). ntp.conf: `tos maxdist`. */
export const MAXDIST = 1

/** Dispersion that stands for "nothing known" (RFC 5905 §7.2, MAXDISP). */
export const MAXDISP = 16

/** Least root delay plus delay that is taken at its word (RFC 5905 §11.1, MINDISP). */
export const MINDISP = 0.005

/** Stages of the clock filter (RFC 5905 §10, NSTAGE). */
export const NSTAGE = 8

/** Stratum that means unsynchronised (RFC 5905 §7.3, MAXSTRAT). */
export const MAXSTRAT = 16
