// An address that leads nowhere.

import { Empty } from "../parts/empty";
import { Page } from "../parts/page";

export default function MissingPage() {
  return (
    <Page title="No such page">
      <Empty icon="search" title="Nothing is at this address">
        <p>The link may be from another version of Skep.</p>
        <a class="button" href="/">
          Go to the overview
        </a>
      </Empty>
    </Page>
  );
}
