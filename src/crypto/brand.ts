declare const brand: unique symbol;

/**
 * A value that has passed a check, or a secret with one purpose. Two brands never stand in for each other, so handing a
 * lane's key to the confirmation does not compile.
 */
export type Branded<Value, Name extends string> = Value & { readonly [brand]: Name };
