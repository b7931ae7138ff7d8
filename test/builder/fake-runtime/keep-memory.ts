// The fake serves nothing.
export {};
