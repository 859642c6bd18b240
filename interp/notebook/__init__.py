"""What a notebook shows: pieces of HTML and figures, tables with bars, the network as boxes. Nothing needs the internet."""
