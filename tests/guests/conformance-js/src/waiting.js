// Verbs that wait.

const sleep = (ms, value) => new Promise((resolve) => setTimeout(resolve, ms, value));

async function* numbers() {
  yield 1;
  await sleep(1);
  yield 2;
  yield 3;
}

export const asyncVerbs = {
  async sleep(ms) {
    await sleep(Number(ms));
    return "slept";
  },

  async gather() {
    const [first, second] = await Promise.all([sleep(20, 1), sleep(10, 2)]);
    let last;
    for await (const number of numbers()) last = number;
    const third = await Promise.race([sleep(5, last), sleep(1000, 0)]);
    return `gathered ${first} ${second} ${third}`;
  },

  async never() {
    await new Promise(() => {});
  },
};
