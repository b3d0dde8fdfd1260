export const greeting = (who: string): string => `Hello, ${who}!`;
