/**
 * The version of this contract, in semantic versioning. A policy definition names the range it was written
 * for (`sdk: ^1.0.0`), and the builder refuses a policy whose range does not include this version.
 */
export const SDK_VERSION = "1.0.0";
