"""What leaves the vault in forms that others read: documents in, bytes out. Nothing here knows a store or a screen.

The pages speak the language of whoever will hold them, French or English, whatever the screen speaks.
"""
