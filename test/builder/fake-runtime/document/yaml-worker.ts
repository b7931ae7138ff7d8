// The engine has a thread here; this one starts none.
export {};
