"""The gateways of the cell: their keys, their journals, what they sent that was refused."""
