// BEING WRITTEN BY HELPER TILL. PAGES: please leave.
export function startTill() {}
